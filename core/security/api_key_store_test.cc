#include "core/security/api_key_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <set>
#include <thread>

#include "core/base/test_folder.h"
#include "core/security/api_key.h"
#include "core/security/secret_octets.h"

namespace viaduct::security {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

ApiKeyRecord Camera(const std::string& id) {
  ApiKeyRecord wanted;
  wanted.owner = id;
  wanted.note = "north gate";
  return wanted;
}

mode_t ModeOf(const std::string& path) {
  struct stat facts {};
  EXPECT_EQ(::stat(path.c_str(), &facts), 0) << path;
  return facts.st_mode & 0777;
}

std::string WholeFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return std::string(std::istreambuf_iterator<char>(file), {});
}

class ApiKeyStoreTest : public testing::Test {
 protected:
  void Open() {
    store_.reset();
    auto store = ApiKeyStore::Open(folder_.path(), &clock_);
    ASSERT_TRUE(store.ok()) << store.status();
    store_ = std::move(*store);
  }
  std::string Make(const ApiKeyRecord& wanted) {
    auto made = store_->Create(wanted);
    EXPECT_TRUE(made.ok()) << made.status();
    id_ = made->record.key_id;
    return made->text;
  }
  absl::StatusOr<Principal> Check(const std::string& key) { return store_->Check(key, &why_); }

  TestFolder folder_;
  FakeClock clock_;
  std::unique_ptr<ApiKeyStore> store_;
  std::string id_;
  std::string why_;
};

TEST(ApiKeyTest, HasAPrefixAndAChecksum) {
  const auto key = NewApiKey();
  ASSERT_TRUE(key.ok());
  EXPECT_EQ(key->size(), kApiKeyChars);
  ApiKeyParts parts;
  ASSERT_TRUE(ParseApiKey(*key, &parts));
  EXPECT_EQ(parts.id.size(), kApiKeyIdChars);
  EXPECT_EQ(parts.secret.size(), kApiKeySecretChars);
  EXPECT_EQ(key->substr(0, 4), "vdk_");
}

TEST(ApiKeyTest, EveryChangedCharacterIsSeen) {
  const std::string key = *NewApiKey();
  ApiKeyParts parts;
  for (size_t i = 0; i < key.size(); ++i) {
    for (const char c : {'a', 'b', '7', '_', '.', '\0', '\xff'}) {
      std::string changed = key;
      if (changed[i] == c) continue;
      changed[i] = c;
      EXPECT_FALSE(ParseApiKey(changed, &parts)) << i;
    }
    EXPECT_FALSE(ParseApiKey(key.substr(0, i), &parts)) << i;
  }
  EXPECT_FALSE(ParseApiKey(key + "a", &parts));
  EXPECT_FALSE(ParseApiKey(std::string(1'000'000, 'a'), &parts));
}

TEST(ApiKeyTest, NoTwoAreAlike) {
  std::set<std::string> keys;
  for (int i = 0; i < 1000; ++i) keys.insert(*NewApiKey());
  EXPECT_EQ(keys.size(), 1000u);
}

TEST_F(ApiKeyStoreTest, CountsWhatChanges) {
  Open();
  ApiKeyRecord camera;
  camera.owner = "CAM001";
  uint64_t seen = store_->changes();
  const auto changed = [&] { return store_->changes() != std::exchange(seen, store_->changes()); };
  const std::string key = Make(camera);
  EXPECT_TRUE(changed());
  EXPECT_TRUE(Check(key).ok());
  EXPECT_TRUE(store_->FlushLastUse().ok());
  EXPECT_FALSE(changed());
  ASSERT_TRUE(store_->Rotate(id_, absl::Hours(1)).ok());
  EXPECT_TRUE(changed());
  ASSERT_TRUE(store_->Revoke(id_).ok());
  EXPECT_TRUE(changed());
  ASSERT_TRUE(store_->Forget(id_).ok());
  EXPECT_TRUE(changed());
}

TEST_F(ApiKeyStoreTest, AKeyProvesItsOwnerAlsoAfterARestart) {
  Open();
  const std::string key = Make(Camera("CAM001"));
  for (int round = 0; round < 2; ++round) {
    const auto principal = Check(key);
    ASSERT_TRUE(principal.ok()) << why_;
    EXPECT_EQ(principal->id, "CAM001");
    EXPECT_EQ(principal->role, Role::kDevice);
    EXPECT_EQ(principal->proof_id, id_);
    Open();
  }
}

TEST_F(ApiKeyStoreTest, UnknownWrongExpiredAndRevokedLookAlike) {
  Open();
  const std::string good = Make(Camera("CAM001"));
  const std::string good_id = id_;
  ApiKeyRecord brief = Camera("CAM002");
  brief.expires = clock_.Now() + absl::Hours(1);
  const std::string expired = Make(brief);
  const std::string revoked = Make(Camera("CAM003"));
  ASSERT_TRUE(store_->Revoke(id_).ok());
  clock_.Advance(absl::Hours(1));
  TestFolder other_folder;
  auto other = ApiKeyStore::Open(other_folder.path(), &clock_);
  const std::string unknown = (*other)->Create(Camera("CAM001"))->text;
  const struct {
    const char* name;
    std::string key;
    const char* why;
  } kCases[] = {{"none", "", "no api key"},
                {"garbage", "hunter2", "no api key"},
                {"unknown", unknown, "unknown"},
                {"expired", expired, "expired"},
                {"revoked", revoked, "revoked"}};
  for (const auto& one : kCases) {
    const auto principal = Check(one.key);
    EXPECT_EQ(principal.status().code(), absl::StatusCode::kUnauthenticated) << one.name;
    EXPECT_EQ(principal.status().message(), "credentials: not accepted") << one.name;
    EXPECT_THAT(why_, HasSubstr(one.why));
    ApiKeyParts parts;
    if (!ParseApiKey(one.key, &parts)) continue;
    EXPECT_THAT(why_, Not(HasSubstr(std::string(parts.secret))));
  }
  EXPECT_TRUE(Check(good).ok());
}

TEST_F(ApiKeyStoreTest, RotationOverlaps) {
  Open();
  ApiKeyRecord hub = Camera("HUB1");
  hub.devices = {"CAM*"};
  hub.scopes = ScopeSet::None();
  hub.scopes.Add(Scope::kIngest);
  const std::string old_key = Make(hub);
  const auto made = store_->Rotate(id_, absl::Hours(24));
  ASSERT_TRUE(made.ok()) << made.status();
  EXPECT_EQ(made->record.replaces, id_);
  EXPECT_EQ(Check(made->text)->devices, hub.devices);
  EXPECT_EQ(Check(made->text)->scopes, hub.scopes);
  EXPECT_TRUE(Check(old_key).ok());
  clock_.Advance(absl::Hours(23));
  EXPECT_TRUE(Check(old_key).ok());
  clock_.Advance(absl::Hours(1));
  EXPECT_FALSE(Check(old_key).ok());
  EXPECT_TRUE(Check(made->text).ok());
  Open();
  EXPECT_FALSE(Check(old_key).ok());
  EXPECT_TRUE(Check(made->text).ok());
  EXPECT_EQ(store_->Rotate(id_, absl::Hours(1)).status().code(),
            absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(store_->Rotate(made->record.key_id, absl::Hours(24 * 365)).status().code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(store_->Rotate("nobody", absl::Hours(1)).status().code(), absl::StatusCode::kNotFound);
}

TEST_F(ApiKeyStoreTest, FilesAreProtectedAndHoldNoKey) {
  Open();
  const std::string key = Make(Camera("CAM001"));
  for (const char* name : {"api_keys.db", "api_keys.db-wal", "api_keys.secret"}) {
    const std::string path = folder_.File(name);
    if (::access(path.c_str(), F_OK) != 0) continue;
    EXPECT_EQ(ModeOf(path), 0600u) << name;
    ApiKeyParts parts;
    ASSERT_TRUE(ParseApiKey(key, &parts));
    EXPECT_THAT(WholeFile(path), Not(HasSubstr(std::string(parts.secret)))) << name;
  }
  const auto records = store_->List();
  ASSERT_EQ(records.size(), 1u);
  EXPECT_EQ(records[0].note, "north gate");
  store_.reset();
  ASSERT_EQ(::chmod(folder_.File("api_keys.db").c_str(), 0640), 0);
  EXPECT_EQ(ApiKeyStore::Open(folder_.path(), &clock_).status().code(),
            absl::StatusCode::kFailedPrecondition);
  ASSERT_EQ(::chmod(folder_.File("api_keys.db").c_str(), 0600), 0);
  ASSERT_EQ(::chmod(folder_.File("api_keys.secret").c_str(), 0604), 0);
  EXPECT_EQ(ApiKeyStore::Open(folder_.path(), &clock_).status().code(),
            absl::StatusCode::kFailedPrecondition);
}

TEST_F(ApiKeyStoreTest, AnotherSecretIsNoticed) {
  Open();
  Make(Camera("CAM001"));
  store_.reset();
  ASSERT_EQ(::unlink(folder_.File("api_keys.secret").c_str()), 0);
  EXPECT_EQ(ApiKeyStore::Open(folder_.path(), &clock_).status().code(),
            absl::StatusCode::kDataLoss);
  EXPECT_NE(::access(folder_.File("api_keys.secret").c_str(), F_OK), 0);  // None is made up.
  ASSERT_TRUE(LoadOrMakeSecret(folder_.File("api_keys.secret")).ok());
  EXPECT_EQ(ApiKeyStore::Open(folder_.path(), &clock_).status().code(),
            absl::StatusCode::kDataLoss);
}

TEST_F(ApiKeyStoreTest, DamagedFilesAreRefused) {
  for (const std::string& text : {std::string("no database"), std::string(4096, 'x')}) {
    TestFolder folder;
    std::ofstream(folder.File("api_keys.db")) << text;
    ::chmod(folder.File("api_keys.db").c_str(), 0600);
    EXPECT_EQ(ApiKeyStore::Open(folder.path(), &clock_).status().code(),
              absl::StatusCode::kDataLoss);
  }
  std::ofstream(folder_.File("api_keys.secret")) << "short";
  ::chmod(folder_.File("api_keys.secret").c_str(), 0600);
  EXPECT_EQ(ApiKeyStore::Open(folder_.path(), &clock_).status().code(),
            absl::StatusCode::kDataLoss);
}

TEST_F(ApiKeyStoreTest, OneProcessAtATime) {
  Open();
  EXPECT_EQ(ApiKeyStore::Open(folder_.path(), &clock_).status().code(),
            absl::StatusCode::kUnavailable);
}

TEST_F(ApiKeyStoreTest, LastUseIsWrittenNowAndThen) {
  Open();
  const std::string key = Make(Camera("CAM001"));
  const absl::Time first = clock_.Now();
  ASSERT_TRUE(Check(key).ok());
  clock_.Advance(absl::Seconds(30));
  ASSERT_TRUE(Check(key).ok());
  EXPECT_EQ(store_->List()[0].last_used, first);
  clock_.Advance(absl::Minutes(1));
  ASSERT_TRUE(Check(key).ok());
  ASSERT_TRUE(store_->FlushLastUse().ok());
  Open();
  EXPECT_EQ(store_->List()[0].last_used, clock_.Now());
}

TEST_F(ApiKeyStoreTest, RefusesWhatNoPrincipalCanBe) {
  Open();
  std::vector<ApiKeyRecord> wrong(8, Camera("CAM001"));
  wrong[0].owner = "";
  wrong[1].owner = "a\nb";
  wrong[2].owner = std::string(129, 'a');
  wrong[3].role = Role::kAdmin;  // A device is none.
  wrong[4].scopes = ScopeSet::None();
  wrong[5].note = std::string(300, 'n');
  wrong[6].kind = PrincipalKind::kLocalPeer;
  wrong[7].devices = {"a\nb"};
  for (const ApiKeyRecord& one : wrong) {
    EXPECT_EQ(store_->Create(one).status().code(), absl::StatusCode::kInvalidArgument);
  }
  EXPECT_TRUE(store_->List().empty());
}

TEST_F(ApiKeyStoreTest, ForgetsOnlyWhatHoldsNoMore) {
  Open();
  const std::string key = Make(Camera("CAM001"));
  EXPECT_EQ(store_->Forget(id_).code(), absl::StatusCode::kFailedPrecondition);
  ASSERT_TRUE(store_->Revoke(id_).ok());
  ASSERT_TRUE(store_->Revoke(id_).ok());
  ASSERT_TRUE(store_->Forget(id_).ok());
  EXPECT_EQ(store_->Revoke(id_).code(), absl::StatusCode::kNotFound);
  Open();
  EXPECT_TRUE(store_->List().empty());
}

TEST_F(ApiKeyStoreTest, ChecksFromManyThreadsWhileKeysChange) {
  Open();
  const std::string key = Make(Camera("CAM001"));
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      std::string why;
      for (int n = 0; n < 500; ++n) EXPECT_TRUE(store_->Check(key, &why).ok());
    });
  }
  for (int n = 0; n < 5; ++n) Make(Camera("CAM002"));
  EXPECT_TRUE(store_->FlushLastUse().ok());
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(store_->List().size(), 6u);
}

#ifdef VIADUCT_TEST_HOOKS
// In a child that is killed at the second commit of its life: the first makes the files.
int ChangeAndDie(const std::string& folder, const std::string& id, const char* crash_at) {
  const pid_t child = ::fork();
  if (child == 0) {
    ::setenv("VIADUCT_CRASH_AT", crash_at, 1);
    ::execl(VIADUCT_CRASH_CHILD, VIADUCT_CRASH_CHILD, "rotate", folder.c_str(), id.c_str(),
            nullptr);
    ::_exit(9);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFSIGNALED(status) ? WTERMSIG(status) : -1;
}

TEST_F(ApiKeyStoreTest, ARotationIsWholeOrNotAtAllAfterKill) {
  Open();
  const std::string key = Make(Camera("CAM001"));
  store_.reset();
  ASSERT_EQ(ChangeAndDie(folder_.path(), id_, "security.commit.before:2"), SIGKILL);
  Open();
  EXPECT_EQ(store_->List().size(), 1u);
  EXPECT_EQ(store_->List()[0].expires, absl::InfiniteFuture());
  EXPECT_TRUE(Check(key).ok());
  store_.reset();
  ASSERT_EQ(ChangeAndDie(folder_.path(), id_, "security.commit.after:2"), SIGKILL);
  Open();
  ASSERT_EQ(store_->List().size(), 2u);
  EXPECT_NE(store_->List()[0].expires, absl::InfiniteFuture());
  EXPECT_EQ(ModeOf(folder_.File("api_keys.db")), 0600u);
}
#endif

}  // namespace
}  // namespace viaduct::security
