// Retained messages: the newest of each topic, within the bounds.
#include "core/retained.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

namespace {

using namespace wsb::core;

BufferRef message(const std::string& text) {
  return BufferRef(Buffer::create_message(Opcode::kText, text.data(), text.size()));
}

std::vector<std::string> kept(const RetainedMessages& retained, std::string_view pattern) {
  std::vector<std::string> out;
  retained.match(pattern, [&](const RetainedMessages::Kept& kept) {
    out.emplace_back(reinterpret_cast<const char*>(kept.message->payload()), kept.message->payload_size());
  });
  return out;
}

using Texts = std::vector<std::string>;

TEST(Retained, TheNewestOfEachTopic) {
  RetainedMessages retained(10, 10000);
  EXPECT_TRUE(retained.keep("a.1", message("old")));
  EXPECT_TRUE(retained.keep("a.2", message("two")));
  EXPECT_TRUE(retained.keep("a.1", message("new")));
  EXPECT_EQ(kept(retained, "a.1"), Texts{"new"});
  EXPECT_EQ(kept(retained, "a.*"), (Texts{"two", "new"})) << "in the order of publication";
  EXPECT_EQ(kept(retained, ">"), (Texts{"two", "new"}));
  EXPECT_EQ(kept(retained, "b"), Texts{});
  EXPECT_EQ(retained.size(), 2u);
  retained.forget("a.1");
  retained.forget("a.9");
  EXPECT_EQ(kept(retained, ">"), Texts{"two"});
}

TEST(Retained, KnowsTheSequenceOfDurableOnes) {
  RetainedMessages retained(10, 10000);
  EXPECT_TRUE(retained.keep("a.1", message("plain")));
  EXPECT_TRUE(retained.keep("a.2", message("durable"), 17));
  EXPECT_TRUE(retained.keep("a.2", message("newer"), 18));
  std::vector<std::pair<std::string, uint64_t>> found;
  retained.match("a.*", [&](const RetainedMessages::Kept& kept) { found.emplace_back(kept.topic, kept.sequence); });
  EXPECT_EQ(found, (std::vector<std::pair<std::string, uint64_t>>{{"a.1", 0}, {"a.2", 18}}));
}

TEST(Retained, BoundedInCount) {
  RetainedMessages retained(3, 10000);
  for (int i = 0; i < 3; ++i) retained.keep("t." + std::to_string(i), message(std::to_string(i)));
  retained.keep("t.0", message("0 again"));
  retained.keep("t.3", message("3"));
  EXPECT_EQ(kept(retained, ">"), (Texts{"2", "0 again", "3"})) << "1 was published longest ago";
}

TEST(Retained, BoundedInBytes) {
  RetainedMessages retained(100, 100);
  const BufferRef sample = message(std::string(40, 'x'));
  const size_t each = sample->size + 1;
  EXPECT_TRUE(retained.keep("a", message(std::string(40, 'a'))));
  EXPECT_TRUE(retained.keep("b", message(std::string(40, 'b'))));
  EXPECT_EQ(retained.bytes(), 2 * each);
  EXPECT_TRUE(retained.keep("c", message(std::string(40, 'c'))));
  EXPECT_EQ(kept(retained, ">"), (Texts{std::string(40, 'b'), std::string(40, 'c')}));
  EXPECT_FALSE(retained.keep("d", message(std::string(99, 'd')))) << "with its header and name";
  EXPECT_TRUE(retained.fits("d", 99));
  EXPECT_FALSE(retained.fits("d", 100));
  EXPECT_EQ(retained.size(), 2u) << "nothing has changed";
  EXPECT_TRUE(retained.keep("b", message(std::string(90, 'B'))));
  EXPECT_EQ(kept(retained, ">"), Texts{std::string(90, 'B')});
  retained.forget("b");
  EXPECT_EQ(retained.bytes(), 0u);
}

}  // namespace
