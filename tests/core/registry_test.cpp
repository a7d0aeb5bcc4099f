// Registry: ids that are found while they live, and never given twice.
#include "core/registry.h"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <set>
#include <utility>
#include <vector>

namespace {

using namespace wsb::core;

uint32_t slot_of(uint64_t id) {
  return static_cast<uint32_t>(id) & (Registry::kMaxSlots - 1);
}

TEST(Registry, FindsWhatWasAdded) {
  Registry registry(0);
  int first = 0;
  int second = 0;
  const uint64_t first_id = registry.add(&first);
  const uint64_t second_id = registry.add(&second);
  EXPECT_NE(first_id, 0u);
  EXPECT_NE(second_id, 0u);
  EXPECT_NE(first_id, second_id);
  EXPECT_EQ(registry.find(first_id), &first);
  EXPECT_EQ(registry.find(second_id), &second);
  EXPECT_EQ(registry.size(), 2u);
}

TEST(Registry, NothingIsFoundUnderOtherIds) {
  Registry registry(3);
  int entry = 0;
  const uint64_t id = registry.add(&entry);
  EXPECT_EQ(registry.find(0), nullptr);
  EXPECT_EQ(registry.find(UINT64_MAX), nullptr);
  EXPECT_EQ(registry.find(id + 1), nullptr) << "the next slot";
  EXPECT_EQ(registry.find(id + (uint64_t{1} << Registry::kSlotBits)), nullptr) << "the next worker";
  EXPECT_EQ(registry.find(id + (uint64_t{1} << 32)), nullptr) << "the next generation";
  EXPECT_EQ(registry.find(id), &entry);
}

TEST(Registry, IdsTellTheirWorker) {
  int entry = 0;
  for (const uint32_t worker : {0U, 1U, 63U, 255U}) {
    Registry registry(worker);
    const uint64_t id = registry.add(&entry);
    EXPECT_EQ(Registry::worker_of(id), worker);
    EXPECT_EQ(registry.find(id), &entry);
  }
}

TEST(Registry, RemovedIsGoneAndItsIdNeverComesBack) {
  Registry registry(0);
  int entry = 0;
  std::set<uint64_t> ids;
  for (int i = 0; i < 1000; ++i) {
    const uint64_t id = registry.add(&entry);
    ASSERT_TRUE(ids.insert(id).second) << "given twice";
    ASSERT_EQ(slot_of(id), 0u) << "the slot is used again";
    registry.remove(id);
    ASSERT_EQ(registry.size(), 0u);
  }
  for (const uint64_t id : ids) ASSERT_EQ(registry.find(id), nullptr);
}

TEST(Registry, RemovingWhatIsNotThereDoesNothing) {
  Registry registry(0);
  int old_entry = 0;
  int new_entry = 0;
  const uint64_t old_id = registry.add(&old_entry);
  registry.remove(old_id);
  const uint64_t new_id = registry.add(&new_entry);
  registry.remove(old_id);
  registry.remove(0);
  registry.remove(new_id + 1);
  EXPECT_EQ(registry.find(new_id), &new_entry);
  EXPECT_EQ(registry.size(), 1u);
}

TEST(Registry, NoIdWhenAllSlotsAreTaken) {
  Registry registry(0, 2);
  int entry = 0;
  const uint64_t first = registry.add(&entry);
  const uint64_t second = registry.add(&entry);
  EXPECT_EQ(registry.add(&entry), 0u);
  EXPECT_EQ(registry.size(), 2u);
  registry.remove(first);
  const uint64_t third = registry.add(&entry);
  EXPECT_NE(third, 0u);
  EXPECT_NE(third, first);
  EXPECT_NE(third, second);
}

TEST(Registry, ASlotWhoseGenerationsAreUsedUpIsRetired) {
  Registry registry(0, 2, UINT32_MAX - 1);
  int entry = 0;
  std::set<uint64_t> ids;
  for (int i = 0; i < 4; ++i) {
    const uint64_t id = registry.add(&entry);
    ASSERT_NE(id, 0u);
    ASSERT_TRUE(ids.insert(id).second) << "given twice";
    ASSERT_EQ(registry.find(id), &entry);
    registry.remove(id);
    ASSERT_EQ(registry.find(id), nullptr);
  }
  EXPECT_EQ(registry.add(&entry), 0u) << "two slots of two generations each";
  EXPECT_EQ(registry.find(0), nullptr);
}

TEST(Registry, ForEachVisitsWhatLives) {
  Registry registry(5);
  std::vector<int> entries(10);
  std::map<uint64_t, void*> expected;
  std::vector<uint64_t> ids;
  for (int& entry : entries) {
    ids.push_back(registry.add(&entry));
    expected[ids.back()] = &entry;
  }
  for (const size_t i : {size_t{0}, size_t{4}, size_t{9}}) {
    registry.remove(ids[i]);
    expected.erase(ids[i]);
  }
  std::map<uint64_t, void*> visited;
  registry.for_each([&](uint64_t id, void* entry) { visited[id] = entry; });
  EXPECT_EQ(visited, expected);
}

TEST(Registry, AgreesWithAPlainMap) {
  Registry registry(9);
  std::map<uint64_t, void*> living;
  std::vector<uint64_t> dead;
  std::vector<int> entries(64);
  std::mt19937 random(1);
  for (int i = 0; i < 20'000; ++i) {
    if (living.size() < 40 && random() % 2 == 0) {
      void* const entry = &entries[random() % entries.size()];
      const uint64_t id = registry.add(entry);
      ASSERT_TRUE(living.emplace(id, entry).second) << "given twice while it lives";
    } else if (!living.empty()) {
      const auto chosen = std::next(living.begin(), static_cast<std::ptrdiff_t>(random() % living.size()));
      registry.remove(chosen->first);
      dead.push_back(chosen->first);
      living.erase(chosen);
    }
    ASSERT_EQ(registry.size(), living.size());
  }
  for (const auto& [id, entry] : living) ASSERT_EQ(registry.find(id), entry);
  for (const uint64_t id : dead) ASSERT_EQ(registry.find(id), nullptr);
}

}  // namespace
