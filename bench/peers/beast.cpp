// Boost.Beast as its own examples have it (websocket-server-async, websocket-chat-multi): one io_context, one thread, a session per
// connection with a read in progress and a queue of shared messages. Nothing of wsbeat is used here.
#define BOOST_ALL_NO_LIB
#include <getopt.h>

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/ssl.hpp>
#include <boost/beast/websocket.hpp>
#include <boost/beast/websocket/ssl.hpp>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <memory>
#include <string>
#include <unordered_set>

namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace websocket = beast::websocket;
using asio::ip::tcp;
using beast::error_code;

struct Settings {
  unsigned short port = 0;
  bool broadcast = false;
  bool deflate = false;
  int heartbeat_s = 0;
  std::string cert, key;
} settings;

struct Message {
  std::string data;
  bool text;
};

class Member {
 public:
  virtual ~Member() = default;
  virtual void send(std::shared_ptr<const Message> message) = 0;
};
std::unordered_set<Member *> members;

template <typename Stream>
class Session : public Member, public std::enable_shared_from_this<Session<Stream>> {
 public:
  template <typename... Arguments>
  explicit Session(tcp::socket &&socket, Arguments &...arguments) : ws_(std::move(socket), arguments...) {}
  ~Session() override { members.erase(this); }

  void run() {
    if constexpr (std::is_same_v<Stream, beast::ssl_stream<beast::tcp_stream>>) {
      ws_.next_layer().async_handshake(asio::ssl::stream_base::server,
                                       [self = this->shared_from_this()](error_code error) {
                                         if (!error) self->accept();
                                       });
    } else {
      accept();
    }
  }

  void send(std::shared_ptr<const Message> message) override {
    queue_.push_back(std::move(message));
    if (queue_.size() == 1) write();
  }

 private:
  void accept() {
    beast::get_lowest_layer(ws_).expires_never();
    auto timeout = websocket::stream_base::timeout::suggested(beast::role_type::server);
    if (settings.heartbeat_s != 0) {  // Beast pings at half of the idle timeout
      timeout.idle_timeout = std::chrono::seconds(2 * settings.heartbeat_s);
      timeout.keep_alive_pings = true;
    }
    ws_.set_option(timeout);
    if (settings.deflate) {
      websocket::permessage_deflate option;
      option.server_enable = true;
      option.compLevel = 1;
      ws_.set_option(option);
    }
    ws_.auto_fragment(false);
    ws_.async_accept([self = this->shared_from_this()](error_code error) {
      if (error) return;
      members.insert(self.get());
      self->read();
    });
  }

  void read() {
    ws_.async_read(buffer_, [self = this->shared_from_this()](error_code error, size_t) {
      if (error) return;
      self->received();
    });
  }

  // An echo is written from the buffer itself before the next read, as in Beast's echo example.
  void received() {
    if (!settings.broadcast) {
      ws_.text(ws_.got_text());
      ws_.async_write(buffer_.data(), [self = this->shared_from_this()](error_code error, size_t) {
        if (error) return;
        self->buffer_.consume(self->buffer_.size());
        self->read();
      });
      return;
    }
    const auto message =
        std::make_shared<const Message>(Message{beast::buffers_to_string(buffer_.data()), ws_.got_text()});
    buffer_.consume(buffer_.size());
    for (Member *member : members) member->send(message);
    read();
  }

  void write() {
    ws_.text(queue_.front()->text);
    ws_.async_write(asio::buffer(queue_.front()->data), [self = this->shared_from_this()](error_code error, size_t) {
      if (error) return;
      self->queue_.pop_front();
      if (!self->queue_.empty()) self->write();
    });
  }

  websocket::stream<Stream> ws_;
  beast::flat_buffer buffer_;
  std::deque<std::shared_ptr<const Message>> queue_;
};

void accept_next(tcp::acceptor &acceptor, asio::ssl::context *tls) {
  acceptor.async_accept([&acceptor, tls](error_code error, tcp::socket socket) {
    if (!error) {
      socket.set_option(tcp::no_delay(true), error);
      if (tls != nullptr) {
        std::make_shared<Session<beast::ssl_stream<beast::tcp_stream>>>(std::move(socket), *tls)->run();
      } else {
        std::make_shared<Session<beast::tcp_stream>>(std::move(socket))->run();
      }
    }
    accept_next(acceptor, tls);
  });
}

}  // namespace

int main(int argc, char **argv) {
  static const option kNames[] = {{"port", required_argument, nullptr, 'p'},
                                  {"broadcast", no_argument, nullptr, 'b'},
                                  {"deflate", no_argument, nullptr, 'd'},
                                  {"cert", required_argument, nullptr, 'c'},
                                  {"key", required_argument, nullptr, 'k'},
                                  {"heartbeat", required_argument, nullptr, 'h'},
                                  {nullptr, 0, nullptr, 0}};
  for (int which; (which = getopt_long(argc, argv, "", kNames, nullptr)) != -1;) {
    switch (which) {
      case 'p':
        settings.port = static_cast<unsigned short>(std::atoi(optarg));
        break;
      case 'b':
        settings.broadcast = true;
        break;
      case 'd':
        settings.deflate = true;
        break;
      case 'c':
        settings.cert = optarg;
        break;
      case 'k':
        settings.key = optarg;
        break;
      case 'h':
        settings.heartbeat_s = std::atoi(optarg);
        break;
      default:
        std::fputs("usage: peer-beast [--port N] [--broadcast] [--deflate] [--cert FILE --key FILE] [--heartbeat S]\n",
                   stderr);
        return 2;
    }
  }
  asio::io_context context(1);
  asio::ssl::context tls(asio::ssl::context::tls_server);
  if (!settings.cert.empty()) {
    tls.use_certificate_chain_file(settings.cert);
    tls.use_private_key_file(settings.key, asio::ssl::context::pem);
  }
  tcp::acceptor acceptor(context, {asio::ip::make_address("127.0.0.1"), settings.port});
  acceptor.listen(asio::socket_base::max_listen_connections);
  asio::signal_set signals(context, SIGTERM, SIGINT);
  signals.async_wait([&](error_code, int) { std::_Exit(0); });
  accept_next(acceptor, settings.cert.empty() ? nullptr : &tls);
  std::printf("listening %d\n", acceptor.local_endpoint().port());
  std::fflush(stdout);
  context.run();
}
