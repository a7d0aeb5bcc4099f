// Requests: the copy that a connection keeps, and the live one that handlers answer.
#include "handshake.h"

#include <new>

#include "errors.h"

namespace binding {

namespace {

// Header values are bytes; as HTTP libraries do, each becomes one character.
py::str latin1(const char* text) {
  PyObject* const out =
      PyUnicode_DecodeLatin1(text, static_cast<Py_ssize_t>(std::char_traits<char>::length(text)), nullptr);
  if (out == nullptr) throw py::error_already_set();
  return py::reinterpret_steal<py::str>(out);
}

py::object text_or_none(const char* text) {
  return text != nullptr ? py::object(latin1(text)) : py::none();
}

py::object utf8_or_none(const char* text) {
  if (text == nullptr) return py::none();
  PyObject* const out =
      PyUnicode_DecodeUTF8(text, static_cast<Py_ssize_t>(std::char_traits<char>::length(text)), "replace");
  if (out == nullptr) throw py::error_already_set();
  return py::reinterpret_steal<py::object>(out);
}

py::list headers_of(const wsb_request* request) {
  py::list out;
  const char* name = nullptr;
  const char* value = nullptr;
  for (size_t i = 0; wsb_request_header_at(request, i, &name, &value) != 0; ++i)
    out.append(py::make_tuple(latin1(name), latin1(value)));
  return out;
}

}  // namespace

RequestHead* RequestHead::take(const wsb_request* request) {
  try {
    auto head = std::make_unique<RequestHead>();
    std::string& text = head->text_;
    const auto add = [&](const char* part) { text.append(part).push_back('\0'); };
    add(wsb_request_method(request));
    add(wsb_request_path(request));
    add(wsb_request_query(request));
    const char* name = nullptr;
    const char* value = nullptr;
    for (size_t i = 0; wsb_request_header_at(request, i, &name, &value) != 0; ++i) {
      add(name);
      add(value);
    }
    text.shrink_to_fit();
    return head.release();
  } catch (const std::bad_alloc&) {
    return nullptr;
  }
}

py::object RequestHead::to_python() const {
  const char* at = text_.c_str();
  const char* const end = at + text_.size();
  const auto take_part = [&] {
    const char* const part = at;
    at += std::char_traits<char>::length(part) + 1;
    return latin1(part);
  };
  const py::str method = take_part();
  const py::str path = take_part();
  const py::str query = take_part();
  py::list headers;
  while (at < end) {
    const py::str name = take_part();
    headers.append(py::make_tuple(name, take_part()));
  }
  return py::module_::import("wsbeat._request").attr("Request")(method, path, query, headers);
}

wsb_request* Handshake::live() const {
  if (request_ == nullptr) raise(WSB_E_STATE, "the request is over: look at it in its handler only");
  return request_;
}

void Handshake::respond(uint32_t status, const py::object& body, const py::object& content_type) {
  const std::string bytes = py::cast<std::string>(body);  // str as UTF-8, or bytes
  const std::string type = content_type.is_none() ? std::string() : py::cast<std::string>(content_type);
  check(
      wsb_request_respond(live(), status, content_type.is_none() ? nullptr : type.c_str(), bytes.data(), bytes.size()));
  answered_ = true;
}

void Handshake::add_to(py::module_& module) {
  using namespace py::literals;
  const auto header = [](const Handshake& h, const std::string& name) {
    return text_or_none(wsb_request_header(h.live(), name.c_str()));
  };
  py::class_<Handshake>(module, "Handshake",
                        "A request while its handler runs: look at it, then accept it, refuse it, or answer it.\n\n"
                        "It ends with the handler: later use raises StateError.")
      .def_property_readonly(
          "method", [](const Handshake& h) { return latin1(wsb_request_method(h.live())); }, "\"GET\", mostly.")
      .def_property_readonly(
          "path", [](const Handshake& h) { return latin1(wsb_request_path(h.live())); }, "As sent, without the query.")
      .def_property_readonly(
          "query", [](const Handshake& h) { return latin1(wsb_request_query(h.live())); }, "After the '?', or \"\".")
      .def_property_readonly(
          "headers", [](const Handshake& h) { return headers_of(h.live()); }, "All headers in order, as (name, value).")
      .def_property_readonly(
          "remote_address", [](const Handshake& h) { return latin1(wsb_request_peer(h.live())); },
          "The client's address, through trusted proxies.")
      .def_property_readonly(
          "upgrade", [](const Handshake& h) { return h.upgrade_; },
          "True: a WebSocket handshake. False: a plain HTTP request.")
      .def_property_readonly(
          "basic_auth",
          [](const Handshake& h) -> py::object {
            const char* const user = wsb_request_basic_user(h.live());
            if (user == nullptr) return py::none();
            return py::make_tuple(utf8_or_none(user), utf8_or_none(wsb_request_basic_password(h.live())));
          },
          "(user, password) of the Authorization header, or None.")
      .def_property_readonly(
          "bearer_token", [](const Handshake& h) { return utf8_or_none(wsb_request_bearer_token(h.live())); },
          "The token of the Authorization header, or None.")
      .def_property_readonly(
          "client_subject", [](const Handshake& h) { return utf8_or_none(wsb_request_client_subject(h.live())); },
          "Subject of the verified TLS client certificate (RFC 2253), or None.")
      .def_property_readonly(
          "subprotocols",
          [](const Handshake& h) {
            py::list out;
            for (size_t i = 0; const char* const name = wsb_request_subprotocol_at(h.live(), i); ++i)
              out.append(latin1(name));
            return out;
          },
          "What the client offers, in its order.")
      .def_property_readonly(
          "subprotocol",
          [](const Handshake& h) -> py::object {
            const char* const chosen = wsb_request_subprotocol(h.live());
            return chosen != nullptr && *chosen != '\0' ? py::object(latin1(chosen)) : py::none();
          },
          "The one chosen so far, or None.")
      .def_readwrite("user", &Handshake::user_, "Any object; the connection has it as `user`.")
      .def("header", header, "name"_a, "A header by name in any case, or None.")
      .def(
          "cookie",
          [](const Handshake& h, const std::string& name) {
            return utf8_or_none(wsb_request_cookie(h.live(), name.c_str()));
          },
          "name"_a, "A cookie, or None.")
      .def(
          "query_param",
          [](const Handshake& h, const std::string& name) {
            return utf8_or_none(wsb_request_query_param(h.live(), name.c_str()));
          },
          "name"_a, "The first query parameter of that name, decoded, or None.")
      .def(
          "select_subprotocol",
          [](const Handshake& h, const py::object& name) {
            const std::string text = name.is_none() ? std::string() : py::cast<std::string>(name);
            check(wsb_request_select_subprotocol(h.live(), name.is_none() ? nullptr : text.c_str()));
          },
          "name"_a, "Chooses one of those offered; None: none.")
      .def(
          "add_header",
          [](const Handshake& h, const std::string& name, const std::string& value) {
            check(wsb_request_add_header(h.live(), name.c_str(), value.c_str()));
          },
          "name"_a, "value"_a, "Adds a header to the answer.")
      .def(
          "authenticate", [](const Handshake& h) { check(wsb_request_authenticate(h.live())); },
          "The connection counts as authenticated: auth_timeout does not apply to it.")
      .def("respond", &Handshake::respond, "status"_a, "body"_a = "", "content_type"_a = py::none(),
           "Answers with this status and body (str or bytes); a handshake is refused by it (300 to 599).");
}

}  // namespace binding
