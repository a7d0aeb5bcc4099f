// In order: what comes while one is kept is kept behind it.
#include "late_answers.h"

#include <utility>

namespace tool {

void LateAnswers::send(std::string text) {
  const std::lock_guard<std::mutex> lock(mutex_);
  waiting_.push_back(std::move(text));
  if (waiting_.size() == 1) drain_locked();
}

bool LateAnswers::drain() {
  const std::lock_guard<std::mutex> lock(mutex_);
  return drain_locked();
}

bool LateAnswers::waiting() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return !waiting_.empty();
}

bool LateAnswers::drain_locked() {
  while (!waiting_.empty()) {
    const std::string &text = waiting_.front();
    const int result = wsb_send(server_, conn_, WSB_TEXT, text.data(), text.size());
    if (result == WSB_E_FULL) return false;
    if (result != WSB_OK && result != WSB_E_CLOSED) {
      static const char why[] = "answer could not be queued";
      wsb_close(server_, conn_, WSB_CLOSE_INTERNAL_ERROR, why, sizeof why - 1);
    }
    if (result != WSB_OK) {
      waiting_.clear();
      return true;
    }
    waiting_.pop_front();
  }
  return true;
}

}  // namespace tool
