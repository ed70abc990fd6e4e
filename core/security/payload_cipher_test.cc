#include "core/security/payload_cipher.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <set>
#include <thread>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "core/base/string_view.h"
#include "core/base/test_folder.h"
#include "core/security/secret_octets.h"

namespace viaduct::security {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

std::string Hex(std::string_view hex) { return absl::HexStringToBytes(AbslView(hex)); }

std::string KeyLine(const std::string& id, char octet) {
  return absl::StrCat(id, " ", absl::Base64Escape(std::string(kGcmKeyBytes, octet)), "\n");
}

PayloadCipher Cipher(const std::string& keys = KeyLine("k1", 'a'), bool accept_unbound = false) {
  PayloadCipherOptions options;
  options.accept_unbound = accept_unbound;
  return PayloadCipher(std::move(*KeyRing::Parse(keys)), options);
}

Envelope Sample() {
  Envelope envelope;
  envelope.message_id = "7d7ad0a2-43a5-4f2c-8f5e-0a9c4e1d9b11";
  envelope.timestamp = absl::FromUnixMillis(1'705'314'600'123);
  envelope.protocol = "rest";
  envelope.edge_device_id = "CAM001";
  envelope.payload_json = R"({"ocr_results":["1AB2345"]})";
  envelope.metadata.extra_json = R"({"site":"north"})";
  return envelope;
}

// The Galois/Counter Mode of Operation, McGrew and Viega, test cases 13, 14 and 16.
TEST(AesGcmTest, KnownAnswers) {
  const std::string zero_key(32, '\0');
  const std::string zero_nonce(12, '\0');
  const std::string key = Hex("feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308");
  const struct {
    std::string key, nonce, bound, plain, tag, text;
  } kCases[] = {
      {zero_key, zero_nonce, "", "", "530f8afbc74536b9a963b4f1c4cb738b", ""},
      {zero_key, zero_nonce, "", std::string(16, '\0'), "d0d1c8a799996bf0265b98b5d48ab919",
       "cea7403d4d606b6e074ec5d3baf39d18"},
      {key, Hex("cafebabefacedbaddecaf888"), Hex("feedfacedeadbeeffeedfacedeadbeefabaddad2"),
       Hex("d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2"
           "4"
           "49a6b525b16aedf5aa0de657ba637b39"),
       "76fc6ece0f4e1768cddf8853bb2d551b",
       "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b08b10568"
       "2"
       "8838c5f61e6393ba7a0abcc9f662"},
  };
  for (const auto& one : kCases) {
    const auto sealed = SealAesGcm(one.key, one.nonce, one.bound, one.plain);
    ASSERT_TRUE(sealed.ok()) << sealed.status();
    EXPECT_EQ(HexOf(*sealed), absl::StrCat(HexOf(one.nonce), one.tag, one.text));
    EXPECT_EQ(*OpenAesGcm(one.key, *sealed, one.bound), one.plain);
  }
}

TEST(AesGcmTest, EveryFlippedBitAndEveryCutIsSeen) {
  const std::string key(32, 'k');
  const std::string sealed = *SealAesGcm(key, std::string(12, 'n'), "bound", "some payload");
  for (size_t bit = 0; bit < sealed.size() * 8; ++bit) {
    std::string changed = sealed;
    changed[bit / 8] = static_cast<char>(changed[bit / 8] ^ (1 << (bit % 8)));
    EXPECT_EQ(OpenAesGcm(key, changed, "bound").status().code(), absl::StatusCode::kDataLoss);
  }
  for (size_t size = 0; size < sealed.size(); ++size) {
    EXPECT_FALSE(OpenAesGcm(key, sealed.substr(0, size), "bound").ok()) << size;
  }
  EXPECT_FALSE(OpenAesGcm(key, sealed + "x", "bound").ok());
  EXPECT_FALSE(OpenAesGcm(key, sealed, "Bound").ok());
  EXPECT_FALSE(OpenAesGcm(key, sealed, "").ok());
  EXPECT_FALSE(OpenAesGcm(std::string(32, 'l'), sealed, "bound").ok());
  EXPECT_EQ(OpenAesGcm("short", sealed, "bound").status().code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_FALSE(SealAesGcm(key, "short", "", "").ok());
}

// What another library seals we open, and the reverse; sizes around the block.
TEST(AesGcmTest, AgreesWithAnotherImplementation) {
  TestFolder folder;
  std::ofstream requests(folder.File("in"));
  std::vector<std::string> expected;
  for (const size_t size : {0, 1, 15, 16, 17, 31, 32, 33, 1000, 65'537}) {
    const std::string key = *RandomOctets(32);
    const std::string nonce = *RandomOctets(12);
    const std::string plain = *RandomOctets(size);
    const std::string bound = *RandomOctets(size % 50);
    const std::string text = absl::Base64Escape(*SealAesGcm(key, nonce, bound, plain));
    requests << "seal " << HexOf(key) << " " << HexOf(bound) << " " << HexOf(nonce) << " "
             << HexOf(plain) << "\n";
    requests << "open " << HexOf(key) << " " << HexOf(bound) << " " << text << "\n";
    expected.push_back(text);
    expected.push_back(HexOf(plain));
  }
  requests.close();
  const std::string command = absl::StrCat("/usr/bin/python3 ", VIADUCT_SOURCE_DIR,
                                           "/core/security/testing/aes_gcm_peer.py < ",
                                           folder.File("in"), " > ", folder.File("out"));
  ASSERT_EQ(std::system(command.c_str()), 0);
  std::ifstream answers(folder.File("out"));
  std::string line;
  for (const std::string& one : expected) {
    ASSERT_TRUE(std::getline(answers, line));
    EXPECT_EQ(line, one);
  }
}

TEST(NonceSourceTest, NoTwoAreTheSameAlsoOverRestarts) {
  std::set<std::string> seen;
  size_t given = 0;
  for (int start = 0; start < 200; ++start) {
    NonceSource source;  // As a process that starts.
    for (int i = 0; i < 500; ++i, ++given) {
      const auto nonce = source.Next();
      ASSERT_TRUE(nonce.ok());
      ASSERT_EQ(nonce->size(), kGcmNonceBytes);
      seen.insert(*nonce);
    }
  }
  EXPECT_EQ(seen.size(), given);
}

TEST(NonceSourceTest, ThreadsAndChildrenDoNotShareAny) {
  NonceSource source;
  std::vector<std::vector<std::string>> lists(4);
  std::vector<std::thread> threads;
  for (auto& list : lists) {
    threads.emplace_back([&] {
      for (int i = 0; i < 2000; ++i) list.push_back(*source.Next());
    });
  }
  for (std::thread& thread : threads) thread.join();
  std::set<std::string> seen;
  for (const auto& list : lists) seen.insert(list.begin(), list.end());
  EXPECT_EQ(seen.size(), 8000u);
  std::array<int, 2> ends{};
  ASSERT_EQ(::pipe(ends.data()), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    const auto nonce = source.Next();
    const bool written = nonce.ok() && ::write(ends[1], nonce->data(), nonce->size()) == 12;
    ::_exit(written ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  std::string of_child(12, '\0');
  ASSERT_EQ(::read(ends[0], of_child.data(), 12), 12);
  EXPECT_NE(of_child, *source.Next());  // What the child would have got without a look.
  ::close(ends[0]);
  ::close(ends[1]);
}

TEST(NonceSourceTest, EndsRatherThanRepeats) {
  NonceSource source(3);
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(source.Next().ok());
  EXPECT_EQ(source.Next().status().code(), absl::StatusCode::kFailedPrecondition);
}

TEST(KeyRingTest, ReadsAFileThatIsProtected) {
  TestFolder folder;
  const std::string path = folder.File("keys");
  std::ofstream(path) << "# keys\n\n" << KeyLine("k2", 'b') << KeyLine("k1", 'a') << "\r\n";
  ::chmod(path.c_str(), 0600);
  const auto ring = KeyRing::Load(path);
  ASSERT_TRUE(ring.ok()) << ring.status();
  EXPECT_EQ(ring->active_id(), "k2");
  EXPECT_THAT(ring->ids(), testing::ElementsAre("k2", "k1"));
  EXPECT_EQ(*ring->Find("k1"), std::string(32, 'a'));
  EXPECT_EQ(ring->Find("k3"), nullptr);
  ::chmod(path.c_str(), 0644);
  EXPECT_EQ(KeyRing::Load(path).status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(KeyRing::Load(folder.File("none")).status().code(), absl::StatusCode::kNotFound);
}

TEST(KeyRingTest, RefusesWhatIsNoKeyWithoutShowingIt) {
  const std::string good = absl::Base64Escape(std::string(32, 'a'));
  std::string many;
  for (int i = 0; i < 17; ++i) many += KeyLine(absl::StrCat("k", i), 'a');
  const struct {
    std::string text;
    const char* why;
  } kCases[] = {
      {"", "there is none"},
      {"# only a comment\n", "there is none"},
      {good, "line 1"},
      {"k1", "line 1"},
      {"k/1 " + good, "line 1"},
      {"k1 c2hvcnQ=", "not base64 of 32"},
      {"k1 " + good + "x", "not base64 of 32"},
      {"k1 " + good.substr(0, good.size() - 1), "not base64 of 32"},
      {KeyLine("k1", 'a') + KeyLine("k1", 'b'), "line 2, the id k1 comes twice"},
      {many, "more than 16"},
  };
  for (const auto& one : kCases) {
    const auto ring = KeyRing::Parse(one.text);
    EXPECT_EQ(ring.status().code(), absl::StatusCode::kInvalidArgument) << one.text;
    EXPECT_THAT(std::string(ring.status().message()), HasSubstr(one.why));
    EXPECT_THAT(std::string(ring.status().message()), Not(HasSubstr(good.substr(0, 20))));
  }
}

TEST(PayloadCipherTest, AnEnvelopeComesBackAcrossAHubWithoutKeys) {
  PayloadCipher cipher = Cipher();
  Envelope envelope = Sample();
  ASSERT_TRUE(cipher.SealEnvelope(&envelope).ok());
  EXPECT_TRUE(envelope.metadata.encryption);
  EXPECT_THAT(envelope.payload_json, Not(HasSubstr("1AB2345")));
  // The hub reads, checks and writes it, and says by which road it goes on.
  auto at_hub = ParseEnvelope(WriteEnvelope(envelope), ParseOptions());
  ASSERT_TRUE(at_hub.ok()) << at_hub.status();
  at_hub->protocol = "mqtt";
  auto at_server = ParseEnvelope(WriteEnvelope(*at_hub), ParseOptions());
  ASSERT_TRUE(at_server.ok());
  ASSERT_TRUE(cipher.OpenEnvelope(&*at_server).ok());
  EXPECT_EQ(at_server->payload_json, Sample().payload_json);
  EXPECT_EQ(at_server->metadata.extra_json, Sample().metadata.extra_json);
  EXPECT_FALSE(at_server->metadata.encryption);
  // One that is not encrypted passes.
  EXPECT_TRUE(cipher.OpenEnvelope(&*at_server).ok());
  EXPECT_EQ(cipher.SealEnvelope(&envelope).code(), absl::StatusCode::kFailedPrecondition);
}

TEST(PayloadCipherTest, TheTextFormIsThatOfTheWire) {
  PayloadCipher cipher = Cipher();
  const std::string text = *cipher.Seal("payload", "");
  std::string octets;
  ASSERT_TRUE(absl::Base64Unescape(text, &octets));
  EXPECT_EQ(octets.size(), 12u + 16u + 7u);
  EXPECT_EQ(*OpenAesGcm(std::string(32, 'a'), octets, ""), "payload");
}

// Whoever writes another end has only docs/SECURITY.md.
TEST(PayloadCipherTest, TheFormInAnEnvelopeIsThatOfTheDocument) {
  PayloadCipher cipher = Cipher();
  Envelope envelope = Sample();
  ASSERT_TRUE(cipher.SealEnvelope(&envelope).ok());
  EXPECT_EQ(envelope.metadata.extra_json, R"({"site":"north","encryption_key":"k1"})");
  constexpr std::string_view kBegin = R"({"encrypted":")";
  ASSERT_EQ(envelope.payload_json.substr(0, kBegin.size()), kBegin);
  const std::string text =
      envelope.payload_json.substr(kBegin.size(), envelope.payload_json.size() - kBegin.size() - 2);
  const std::string bound =
      "viaduct payload 1\n7d7ad0a2-43a5-4f2c-8f5e-0a9c4e1d9b11\nCAM001\ndetection\n"
      "2024-01-15T10:30:00.123Z\nk1";
  std::string octets;
  ASSERT_TRUE(absl::Base64Unescape(text, &octets));
  EXPECT_EQ(*OpenAesGcm(std::string(32, 'a'), octets, bound), Sample().payload_json);
}

TEST(PayloadCipherTest, APayloadBelongsToItsEnvelope) {
  PayloadCipher cipher = Cipher();
  Envelope sealed = Sample();
  ASSERT_TRUE(cipher.SealEnvelope(&sealed).ok());
  using Change = void (*)(Envelope*);
  const Change kChanges[] = {
      [](Envelope* e) { e->message_id = "0190a6f0-1234-7abc-8def-0123456789ab"; },
      [](Envelope* e) { e->edge_device_id = "CAM002"; },
      [](Envelope* e) { e->data_type = DataType::kHealth; },
      [](Envelope* e) { e->timestamp += absl::Milliseconds(1); },
      [](Envelope* e) { e->metadata.extra_json = "{}"; },
      [](Envelope* e) { e->metadata.extra_json = R"({"encryption_key":"k9"})"; },
      [](Envelope* e) { e->metadata.extra_json = R"({"encryption_key":1})"; },
      [](Envelope* e) { e->payload_json = "{}"; },
      [](Envelope* e) { e->payload_json = R"({"encrypted":""})"; },
      [](Envelope* e) { e->payload_json = R"({"encrypted":7})"; },
      [](Envelope* e) { e->payload_json = R"({"encrypted":"AAAA"})"; },
      [](Envelope* e) { e->payload_json.insert(e->payload_json.size() - 1, ",\"more\":1"); },
      [](Envelope* e) { e->payload_json[20] = e->payload_json[20] == 'A' ? 'B' : 'A'; },
      [](Envelope* e) { e->payload_json = "no JSON"; },
  };
  int number = 0;
  for (const Change change : kChanges) {
    Envelope changed = sealed;
    change(&changed);
    const Envelope before = changed;
    EXPECT_FALSE(cipher.OpenEnvelope(&changed).ok()) << number;
    EXPECT_EQ(changed.payload_json, before.payload_json) << number;
    EXPECT_TRUE(changed.metadata.encryption) << number;
    ++number;
  }
  ASSERT_TRUE(cipher.OpenEnvelope(&sealed).ok());
}

TEST(PayloadCipherTest, KeysChangeWithoutAGap) {
  PayloadCipher old_cipher = Cipher(KeyLine("k1", 'a'));
  PayloadCipher both = Cipher(KeyLine("k2", 'b') + KeyLine("k1", 'a'));
  PayloadCipher new_cipher = Cipher(KeyLine("k2", 'b'));
  Envelope before = Sample();
  ASSERT_TRUE(old_cipher.SealEnvelope(&before).ok());
  Envelope after = Sample();
  ASSERT_TRUE(both.SealEnvelope(&after).ok());
  EXPECT_THAT(after.metadata.extra_json, HasSubstr("\"encryption_key\":\"k2\""));
  Envelope copy = before;
  EXPECT_TRUE(both.OpenEnvelope(&copy).ok());
  copy = after;
  EXPECT_TRUE(new_cipher.OpenEnvelope(&copy).ok());
  copy = before;
  EXPECT_EQ(new_cipher.OpenEnvelope(&copy).code(), absl::StatusCode::kNotFound);
}

TEST(PayloadCipherTest, UnboundPayloadsOnlyWhereTheyAreAllowed) {
  Envelope envelope = Sample();
  envelope.metadata.encryption = true;
  const std::string text = *Cipher(KeyLine("k1", 'a')).Seal(R"({"a":1})", "");
  envelope.payload_json = absl::StrCat("{\"encrypted\":\"", text, "\"}");
  EXPECT_FALSE(Cipher().OpenEnvelope(&envelope).ok());
  EXPECT_TRUE(Cipher(KeyLine("k2", 'b') + KeyLine("k1", 'a'), true).OpenEnvelope(&envelope).ok());
  EXPECT_EQ(envelope.payload_json, R"({"a":1})");
  // A bound one does not pass as an unbound one when its key's name is taken away.
  Envelope bound = Sample();
  ASSERT_TRUE(Cipher().SealEnvelope(&bound).ok());
  bound.metadata.extra_json = "{}";
  EXPECT_FALSE(Cipher(KeyLine("k1", 'a'), true).OpenEnvelope(&bound).ok());
}

TEST(PayloadCipherTest, SizesAreBounded) {
  PayloadCipherOptions options;
  options.max_plain_bytes = 100;
  PayloadCipher cipher(std::move(*KeyRing::Parse(KeyLine("k1", 'a'))), options);
  const auto largest = cipher.Seal(std::string(100, 'x'), "");
  ASSERT_TRUE(largest.ok());
  EXPECT_TRUE(cipher.Open(*largest, "k1", "").ok());
  EXPECT_EQ(cipher.Seal(std::string(101, 'x'), "").status().code(),
            absl::StatusCode::kResourceExhausted);
  EXPECT_FALSE(cipher.Open(std::string(1'000'000, 'A'), "k1", "").ok());
}

}  // namespace
}  // namespace viaduct::security
