// Topics as keys of buckets: every topic is one, none is another's, and only allowed characters are written.
#include "kv_key.h"

#include <gtest/gtest.h>

#include <random>
#include <set>

namespace wsb::nats {
namespace {

bool is_key(const std::string& key) {
  return key.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_/=.") ==
         std::string::npos;
}

TEST(KvKey, WritesWhatKeysAllow) {
  EXPECT_EQ(kv_key("orders.17.created"), "orders.17.created");
  EXPECT_EQ(kv_key("a-b_c/d"), "a-b_c/d");
  EXPECT_EQ(kv_key("a=b"), "a=3Db");
  EXPECT_EQ(kv_key("\xC3\xA9"), "=C3=A9");
  EXPECT_EQ(kv_key("a.*"), "a.=2A");
}

TEST(KvKey, ReadsOnlyWhatItWrites) {
  for (const char* bad : {"=", "=4", "=4G", "=41", "=c3", "a*", "a b", "=C3="}) EXPECT_FALSE(kv_topic(bad)) << bad;
  EXPECT_EQ(kv_topic("a=3Db"), "a=b");
  EXPECT_EQ(kv_topic(""), "");
}

TEST(KvKey, RandomTopicsComeBack) {
  std::mt19937 random(17);
  std::set<std::string> topics;
  std::set<std::string> keys;
  for (int round = 0; round < 20000; ++round) {
    std::string topic;
    for (size_t length = 1 + random() % 12; length != 0; --length)
      topic += random() % 3 == 0 ? "=._/4D"[random() % 6] : static_cast<char>(random());
    const std::string key = kv_key(topic);
    ASSERT_TRUE(is_key(key)) << key;
    ASSERT_EQ(kv_topic(key), topic);
    topics.insert(topic);
    keys.insert(key);
    std::string other = key;
    other[random() % other.size()] = static_cast<char>(random());
    if (const auto read = kv_topic(other)) {
      ASSERT_EQ(kv_key(*read), other);
    }
  }
  EXPECT_EQ(topics.size(), keys.size());
}

TEST(KvKey, BucketsOfPrefixes) {
  EXPECT_EQ(kv_bucket("wsbeat", "presence"), "wsbeat-presence");
  EXPECT_EQ(kv_bucket("my.app_1", "instances"), "my_2Eapp_5F1-instances");
  std::set<std::string> buckets;
  for (const char c : {'a', '.', '_', '\xC3'}) {
    for (const size_t length : {1U, 2U, 127U, 128U}) {
      const std::string bucket = kv_bucket(std::string(length, c), "presence");
      EXPECT_LE(kv_stream(bucket).size(), 255U);
      EXPECT_TRUE(is_key(bucket) && bucket.find_first_of("./=") == std::string::npos) << bucket;
      EXPECT_TRUE(buckets.insert(bucket).second) << bucket;
    }
  }
}

}  // namespace
}  // namespace wsb::nats
