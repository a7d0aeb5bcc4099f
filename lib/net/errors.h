// How net reports that something could not be set up.
#pragma once

#include <stdexcept>
#include <string>

namespace wsb::net {

enum class Fault { kAddress, kTls, kSystem, kVersion };

class NetError : public std::runtime_error {
 public:
  NetError(Fault fault, const std::string& text) : std::runtime_error(text), fault_(fault) {}
  Fault fault() const noexcept { return fault_; }

 private:
  Fault fault_;
};

// "text: what the system says about errno"
std::string with_errno(const std::string& text, int error);

}  // namespace wsb::net
