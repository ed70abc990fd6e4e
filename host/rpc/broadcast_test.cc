#include "host/rpc/broadcast.h"

#include <gtest/gtest.h>

#include "viaduct/control/v1/transfers.pb.h"

namespace viaduct::rpc {
namespace {

using Response = control::v1::TransfersWatchResponse;
using Feed = Broadcast<Response>;

Response Of(const std::string& id, uint64_t moved) {
  Response response;
  response.mutable_transfer()->set_transfer_id(id);
  response.mutable_transfer()->set_moved(moved);
  return response;
}

// With a lock over all of it this would wait for itself.
TEST(BroadcastTest, WhoPublishesWaitsForNobodyWhoReadsTheState) {
  Feed feed;
  const auto stream = Feed::Stream::Create(/*max_pending=*/100);
  const absl::Status subscribed = feed.SubscribeThenFill(stream, {}, [&](Feed::Fresh fresh) {
    feed.Publish(Of("a", 2), "a");
    feed.Publish(Of("c", 1), "c");
    fresh.Offer(Of("a", 1), "a");  // As it was before: not told any more.
    fresh.Offer(Of("b", 1), "b");
  });
  ASSERT_TRUE(subscribed.ok()) << subscribed;
  EXPECT_EQ(stream->pending(), 2u);  // The first is being written.
  feed.Publish(Of("b", 2), "b");     // In place of what waits.
  EXPECT_EQ(stream->pending(), 2u);
  EXPECT_EQ(feed.watchers(), 1u);
  stream->OnDone();
  EXPECT_EQ(feed.watchers(), 0u);
}

TEST(BroadcastTest, AStateForWhoHasGoneIsDropped) {
  Feed feed;
  const auto stream = Feed::Stream::Create(/*max_pending=*/100);
  const absl::Status subscribed = feed.SubscribeThenFill(stream, {}, [&](Feed::Fresh fresh) {
    stream->OnDone();
    fresh.Offer(Of("a", 1), "a");
  });
  EXPECT_TRUE(subscribed.ok()) << subscribed;
  EXPECT_EQ(stream->pending(), 0u);
}

TEST(BroadcastTest, KnowsWhetherSomebodyWantsIt) {
  using Tagged = Broadcast<Response, int>;
  Tagged feed;
  const auto wants_two = [](int tag) { return tag == 2; };
  EXPECT_FALSE(feed.Wanted(wants_two));
  const auto one = Tagged::Stream::Create(/*max_pending=*/100);
  const auto two = Tagged::Stream::Create(/*max_pending=*/100);
  ASSERT_TRUE(feed.Subscribe(one, 1, [](Tagged::Stream*) {}).ok());
  EXPECT_FALSE(feed.Wanted(wants_two));
  ASSERT_TRUE(feed.Subscribe(two, 2, [](Tagged::Stream*) {}).ok());
  EXPECT_TRUE(feed.Wanted(wants_two));
  one->OnDone();
  two->OnDone();
}

}  // namespace
}  // namespace viaduct::rpc
