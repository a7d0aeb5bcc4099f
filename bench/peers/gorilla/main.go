// gorilla/websocket as its examples have it: echo in the connection's goroutine; broadcasts through a hub and a writing goroutine per
// connection (examples/chat), with prepared messages. Nothing of wsbeat is used here.
package main

import (
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/gorilla/websocket"
)

var (
	port      = flag.Int("port", 0, "0: any free one")
	broadcast = flag.Bool("broadcast", false, "to everybody instead of back")
	deflate   = flag.Bool("deflate", false, "permessage-deflate")
	cert      = flag.String("cert", "", "TLS certificate")
	key       = flag.String("key", "", "its key")
	heartbeat = flag.Int("heartbeat", 0, "seconds between pings")
)

var upgrader = websocket.Upgrader{
	ReadBufferSize:  4096,
	WriteBufferPool: &sync.Pool{},
	CheckOrigin:     func(*http.Request) bool { return true },
}

type client struct {
	conn *websocket.Conn
	send chan *websocket.PreparedMessage
}

var (
	mutex   sync.RWMutex
	clients = map[*client]bool{}
)

func (c *client) writePump() {
	for message := range c.send {
		if c.conn.WritePreparedMessage(message) != nil {
			return
		}
	}
}

func toAll(kind int, data []byte) {
	message, err := websocket.NewPreparedMessage(kind, data)
	if err != nil {
		return
	}
	mutex.RLock()
	defer mutex.RUnlock()
	for c := range clients {
		c.send <- message
	}
}

// One ticker per connection, as in examples/chat; a control frame may be written beside other writes.
func beat(conn *websocket.Conn, done <-chan struct{}) {
	interval := time.Duration(*heartbeat) * time.Second
	conn.SetReadDeadline(time.Now().Add(2 * interval))
	conn.SetPongHandler(func(string) error {
		return conn.SetReadDeadline(time.Now().Add(2 * interval))
	})
	go func() {
		ticker := time.NewTicker(interval)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
				if conn.WriteControl(websocket.PingMessage, []byte("beat"), time.Now().Add(interval)) != nil {
					return
				}
			case <-done:
				return
			}
		}
	}()
}

func serve(w http.ResponseWriter, r *http.Request) {
	conn, err := upgrader.Upgrade(w, r, nil)
	if err != nil {
		return
	}
	defer conn.Close()
	if *heartbeat != 0 {
		done := make(chan struct{})
		defer close(done)
		beat(conn, done)
	}
	if *broadcast {
		c := &client{conn: conn, send: make(chan *websocket.PreparedMessage, 256)}
		mutex.Lock()
		clients[c] = true
		mutex.Unlock()
		defer func() {
			mutex.Lock()
			delete(clients, c)
			close(c.send)
			mutex.Unlock()
		}()
		go c.writePump()
	}
	for {
		kind, data, err := conn.ReadMessage()
		if err != nil {
			return
		}
		if *broadcast {
			toAll(kind, data)
		} else if conn.WriteMessage(kind, data) != nil {
			return
		}
	}
}

func main() {
	flag.Parse()
	upgrader.EnableCompression = *deflate
	listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", *port))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("listening %d\n", listener.Addr().(*net.TCPAddr).Port)
	http.HandleFunc("/", serve)
	if *cert != "" {
		log.Fatal(http.ServeTLS(listener, nil, *cert, *key))
	}
	log.Fatal(http.Serve(listener, nil))
}
