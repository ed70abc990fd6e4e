// The C++ wrapper, driven through the module description as a host does.
#include <cstring>
#include <new>
#include <stdexcept>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "viaduct/cpp/plugin.h"

namespace viaduct::sdk {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// Where the plugin under test throws.
std::string throw_in;

void MayThrow(const std::string& where) {
  if (throw_in == where) throw std::runtime_error("thrown in " + where);
  if (throw_in == "no memory in " + where) throw std::bad_alloc();
}

class TestPlugin final : public Plugin, public Deliver, public CallHandler {
 public:
  TestPlugin(const Host& host, std::string_view name) : Plugin(host, name) { MayThrow("create"); }
  Status Configure(const Config& config) override {
    MayThrow("configure");
    ConfigReader read(config);
    read.Required("/port", &port_).Optional("/absent", &port_);
    return read.status();
  }
  Status Start(uint32_t) override {
    MayThrow("start");
    return Unavailable("test: port " + std::to_string(port_) + " is taken");
  }
  void Stop() override { MayThrow("stop"); }
  bool Offers(std::string_view id) const override { return id != VD_CALL_1; }

  uint32_t Credit(uint32_t) override {
    MayThrow("credit");
    return 7;
  }
  Status DeliverBatch(uint32_t, const MessageList& batch, size_t* taken) override {
    for (const vd_message& message : batch) {
      if (message.token == 3) MayThrow("deliver");
      ++*taken;
    }
    return {};
  }
  void CancelDelivery(uint32_t, const TokenList&) override {}
  void OnReply(const vd_reply&) override {}
  void Task() { MayThrow("task"); }

 private:
  uint16_t port_ = 0;
};

}  // namespace
}  // namespace viaduct::sdk

VIADUCT_PLUGIN(viaduct::sdk::TestPlugin, viaduct::sdk::Describe("test", "1.2.3")
                                             .Summary("For its test")
                                             .Licence("Apache-2.0")
                                             .MaxLanes(3))

namespace viaduct::sdk {
namespace {

// A host that offers health and config, and keeps what it is told.
class StubHost {
 public:
  StubHost() {
    raw_.struct_size = sizeof(raw_);
    raw_.impl = this;
    raw_.query = [](const vd_host*, vd_str id) -> const void* {
      static constexpr vd_host_health_1 kHealth = {
          [](const vd_host*, uint32_t, vd_str) {},
          [](const vd_host* host, int32_t code, vd_str reason) {
            auto& self = *static_cast<StubHost*>(host->impl);
            self.failures.push_back(std::to_string(code) + " " + std::string(Text(reason)));
          }};
      static constexpr vd_host_config_1 kConfig = {
          [](const vd_config*, vd_str pointer) {
            return Text(pointer) == "/port" ? VD_CONFIG_INTEGER : VD_CONFIG_MISSING;
          },
          nullptr,
          [](const vd_config* config, vd_str pointer, int64_t* out) {
            if (Text(pointer) != "/port") return VD_NOT_FOUND;
            *out = *reinterpret_cast<const int64_t*>(config);
            return VD_OK;
          },
          nullptr,
          nullptr,
          nullptr,
          nullptr};
      if (Text(id) == VD_HOST_HEALTH_1) return &kHealth;
      return Text(id) == VD_HOST_CONFIG_1 ? &kConfig : nullptr;
    };
  }
  const vd_host* raw() const { return &raw_; }

  std::vector<std::string> failures;

 private:
  vd_host raw_{};
};

class WrapperTest : public testing::Test {
 protected:
  ~WrapperTest() override {
    throw_in.clear();
    if (instance_ != nullptr) lifecycle().destroy(instance_);
  }
  const vd_lifecycle_1& lifecycle() { return *vd_module_entry()->lifecycle; }
  vd_error* FreshError() {
    error_ = vd_error();
    error_.struct_size = sizeof(error_);
    return &error_;
  }
  int32_t Create() { return lifecycle().create(host_.raw(), Str("one"), &instance_, FreshError()); }
  int32_t Configure(int64_t port) {
    return lifecycle().configure(instance_, reinterpret_cast<const vd_config*>(&port),
                                 FreshError());
  }
  const vd_deliver_1& deliver() {
    return *static_cast<const vd_deliver_1*>(lifecycle().query(instance_, Str(VD_DELIVER_1)));
  }

  StubHost host_;
  vd_error error_{};
  vd_instance* instance_ = nullptr;
};

TEST_F(WrapperTest, DescribesItselfWithTheInterfacesOfItsClass) {
  const vd_module& module = *vd_module_entry();
  EXPECT_EQ(&module, vd_module_entry());
  EXPECT_EQ(module.struct_size, sizeof(vd_module));
  EXPECT_EQ(Text(module.name), "test");
  EXPECT_EQ(Text(module.version), "1.2.3");
  EXPECT_EQ(module.max_lanes, 3u);
  ASSERT_EQ(module.interface_count, 2u);
  EXPECT_EQ(Text(module.interfaces[0]), VD_DELIVER_1);
  EXPECT_EQ(Text(module.interfaces[1]), VD_CALL_1);
}

TEST_F(WrapperTest, AnInstanceMayLeaveOutAnInterface) {
  ASSERT_EQ(Create(), VD_OK);
  EXPECT_NE(lifecycle().query(instance_, Str(VD_DELIVER_1)), nullptr);
  EXPECT_EQ(lifecycle().query(instance_, Str(VD_CALL_1)), nullptr);
  EXPECT_EQ(lifecycle().query(instance_, Str("viaduct.deliver/2")), nullptr);
}

TEST_F(WrapperTest, AnExceptionInAControlCallBecomesAnError) {
  throw_in = "create";
  EXPECT_EQ(Create(), VD_INTERNAL);
  EXPECT_EQ(error_.code, VD_INTERNAL);
  EXPECT_STREQ(error_.message, "thrown in create");
  throw_in.clear();
  ASSERT_EQ(Create(), VD_OK);
  throw_in = "configure";
  EXPECT_EQ(Configure(80), VD_INTERNAL);
  EXPECT_STREQ(error_.message, "thrown in configure");
  throw_in = "start";
  EXPECT_EQ(lifecycle().start(instance_, 1, nullptr), VD_INTERNAL);  // Nobody wants to know.
}

TEST_F(WrapperTest, AnExceptionWhereNothingIsReturnedFailsTheInstance) {
  ASSERT_EQ(Create(), VD_OK);
  throw_in = "stop";
  lifecycle().stop(instance_);
  throw_in = "credit";
  EXPECT_EQ(deliver().credit(instance_, 0), 0u);
  EXPECT_THAT(host_.failures, ElementsAre("13 thrown in stop", "13 thrown in credit"));
}

TEST_F(WrapperTest, MemoryThatRanOutFailsTheInstanceWhereNobodyIsTold) {
  ASSERT_EQ(Create(), VD_OK);
  throw_in = "no memory in credit";
  EXPECT_EQ(deliver().credit(instance_, 0), 0u);
  EXPECT_THAT(host_.failures, ElementsAre("8 out of memory"));
  throw_in = "no memory in deliver";
  vd_message message = Record<vd_message>();
  message.token = 3;
  const vd_message_list list = {&message, sizeof(vd_message), 1};
  uint64_t taken = 99;
  EXPECT_EQ(deliver().deliver(instance_, 0, &list, &taken), VD_RESOURCE_EXHAUSTED);
  EXPECT_THAT(host_.failures, ElementsAre("8 out of memory")) << "the host tries again";
}

TEST_F(WrapperTest, AnExceptionInDeliverKeepsWhatWasTakenBefore) {
  ASSERT_EQ(Create(), VD_OK);
  std::vector<vd_message> messages(5, Record<vd_message>());
  for (size_t i = 0; i < messages.size(); ++i) messages[i].token = i + 1;
  const vd_message_list list = {messages.data(), sizeof(vd_message), messages.size()};
  throw_in = "deliver";
  uint64_t taken = 99;
  EXPECT_EQ(deliver().deliver(instance_, 0, &list, &taken), VD_OK);
  EXPECT_EQ(taken, 2u);
  EXPECT_THAT(host_.failures, ElementsAre("13 thrown in deliver"));
  const vd_message_list last = {&messages[2], sizeof(vd_message), 1};
  EXPECT_EQ(deliver().deliver(instance_, 0, &last, &taken), VD_INTERNAL);
  EXPECT_EQ(taken, 0u);
}

TEST_F(WrapperTest, ConfigMistakesNameTheirPointer) {
  ASSERT_EQ(Create(), VD_OK);
  EXPECT_EQ(Configure(70000), VD_INVALID_ARGUMENT);
  EXPECT_STREQ(error_.pointer, "/port");
  EXPECT_THAT(error_.message, HasSubstr("70000"));
  EXPECT_EQ(Configure(-1), VD_INVALID_ARGUMENT);
  EXPECT_EQ(Configure(8080), VD_OK);
  EXPECT_EQ(lifecycle().start(instance_, 1, FreshError()), VD_UNAVAILABLE);
  EXPECT_STREQ(error_.message, "test: port 8080 is taken");
}

TEST_F(WrapperTest, AShortErrorIsNotOverrun) {
  ASSERT_EQ(Create(), VD_OK);
  std::memset(static_cast<void*>(&error_), 0x77, sizeof(error_));
  error_.struct_size = 16;
  int64_t port = -1;
  EXPECT_EQ(lifecycle().configure(instance_, reinterpret_cast<const vd_config*>(&port), &error_),
            VD_INVALID_ARGUMENT);
  EXPECT_EQ(error_.code, VD_INVALID_ARGUMENT);
  EXPECT_EQ(std::string(error_.pointer, 5), "/port");
  EXPECT_EQ(error_.pointer[8], 0x77);  // Octet 16.
  EXPECT_EQ(error_.message[0], 0x77);
}

TEST_F(WrapperTest, ServicesThatAreNotThereDoNothing) {
  const Host host(host_.raw());
  Metric metric;
  host.Info("nobody listens");
  EXPECT_TRUE(host.AddCounter("things_total", "Things.", &metric).ok());
  metric.Increase();
  EXPECT_EQ(host.Post(0, nullptr, nullptr).code(), Code::kUnimplemented);
  EXPECT_FALSE(host.MakeBuffer(10));
  EXPECT_GT(host.MonotonicNs(), 0);
  host.Complete(Durable(1));
}

TEST(WrapperText, IsCutAtACharacter) {
  char out[5];
  internal::CopyText("ab\xe2\x82\xac", out, sizeof(out));  // "ab" and the euro sign.
  EXPECT_STREQ(out, "ab");
  internal::CopyText("abcd", out, sizeof(out));
  EXPECT_STREQ(out, "abcd");
  internal::CopyText("", out, sizeof(out));
  EXPECT_STREQ(out, "");
}

TEST(WrapperText, AnOlderRecordReadsAsZeroBeyondItsEnd) {
  vd_completion theirs;
  std::memset(static_cast<void*>(&theirs), 0x55, sizeof(theirs));
  theirs.struct_size = offsetof(vd_completion, retry_after_ns);
  theirs.token = 9;
  vd_completion scratch;
  const vd_completion& mine = Widen(theirs, &scratch);
  EXPECT_EQ(mine.token, 9u);
  EXPECT_EQ(mine.retry_after_ns, 0);
  EXPECT_EQ(mine.detail.size, 0u);
}

TEST(WrapperText, ListsStepByTheirStride) {
  struct Newer {
    vd_completion known;
    uint64_t unknown;
  };
  Newer records[3] = {};
  for (size_t i = 0; i < 3; ++i) {
    records[i].known.struct_size = sizeof(Newer);
    records[i].known.token = i + 1;
  }
  const CompletionList list(&records[0].known, sizeof(Newer), 3);
  std::vector<uint64_t> tokens;
  for (const vd_completion& completion : list) tokens.push_back(completion.token);
  EXPECT_THAT(tokens, ElementsAre(1u, 2u, 3u));
  EXPECT_EQ(list[1].token, 2u);
  EXPECT_EQ(list.Prefix(2).size(), 2u);
  EXPECT_EQ(list.Prefix(9).size(), 3u);
}

TEST(WrapperText, AttributesAreFoundByName) {
  const vd_attr attributes[] = {Attr("a", "1"), Attr("b", ""), Attr("a", "2")};
  EXPECT_EQ(FindAttr(attributes, 3, "a"), "1");
  EXPECT_NE(FindAttr(attributes, 3, "b").data(), nullptr);
  EXPECT_EQ(FindAttr(attributes, 3, "c").data(), nullptr);
}

TEST(WrapperBuffer, IsSharedAndCounted) {
  Buffer first = Buffer::Wrap("some octets");
  Buffer second = first;
  Buffer third = Buffer::Share(first.raw());
  first = Buffer();
  EXPECT_EQ(second.text(), "some octets");
  second = std::move(third);
  EXPECT_FALSE(third);  // NOLINT(bugprone-use-after-move): that it is empty is the question.
  EXPECT_EQ(second.size(), 11u);
}

}  // namespace
}  // namespace viaduct::sdk
