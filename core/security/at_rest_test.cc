#include "core/security/at_rest.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "core/security/aes_gcm.h"

namespace viaduct::security {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

KeyRing Keys(const std::vector<std::string>& ids) {
  std::string text;
  for (const std::string& id : ids) {
    absl::StrAppend(&text, id, " ", absl::Base64Escape(std::string(kGcmKeyBytes, id.back())), "\n");
  }
  return std::move(*KeyRing::Parse(text));
}

std::string Octets(size_t size) {
  std::string out;
  for (size_t i = 0; i < size; ++i) out.push_back(static_cast<char>(i * 7 + i / 251));
  return out;
}

std::string WithBitFlipped(std::string text, size_t at) {
  text[at] = static_cast<char>(text[at] ^ 1);
  return text;
}

TEST(RecordCipherTest, OpensWhatItSealedAndNothingElse) {
  RecordCipher cipher(Keys({"k1"}), "spool");
  const std::string plain = R"({"license_plate":"1AB2345"})";
  const std::string sealed = cipher.Seal(plain, "m1").value();
  EXPECT_TRUE(RecordCipher::IsSealed(sealed));
  EXPECT_FALSE(RecordCipher::IsSealed(plain));
  EXPECT_EQ(RecordCipher::KeyIdOf(sealed), "k1");
  EXPECT_THAT(sealed, Not(HasSubstr("1AB2345")));
  EXPECT_NE(sealed, cipher.Seal(plain, "m1").value()) << "a nonce came twice";
  EXPECT_EQ(cipher.Open(sealed, "m1").value(), plain);
  EXPECT_EQ(cipher.Open(sealed, "m2").status().code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(RecordCipher(Keys({"k1"}), "images").Open(sealed, "m1").status().code(),
            absl::StatusCode::kDataLoss)
      << "a key for one purpose opens what is for another";
  for (size_t i = 0; i < sealed.size(); ++i) {
    EXPECT_FALSE(cipher.Open(WithBitFlipped(sealed, i), "m1").ok()) << i;
    EXPECT_FALSE(cipher.Open(sealed.substr(0, i), "m1").ok()) << i;
  }
}

TEST(RecordCipherTest, KeysChangeWithoutAGap) {
  const std::string old = RecordCipher(Keys({"k1"}), "spool").Seal("old", "").value();
  RecordCipher both(Keys({"k2", "k1"}), "spool");
  EXPECT_EQ(both.Open(old, "").value(), "old");
  const std::string fresh = both.Seal("new", "").value();
  EXPECT_EQ(RecordCipher::KeyIdOf(fresh), "k2");
  RecordCipher after(Keys({"k2"}), "spool");
  EXPECT_TRUE(after.HasKeyOf(fresh));
  EXPECT_FALSE(after.HasKeyOf(old));
  const absl::Status gone = after.Open(old, "").status();
  EXPECT_EQ(gone.code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(gone.message()), HasSubstr("k1"));
}

class FileCipherTest : public ::testing::Test {
 protected:
  // All of it, by pieces.
  absl::StatusOr<std::string> Read(const std::string& sealed, const std::string& name) {
    auto file = cipher_.Begin(sealed.substr(0, SealedFile::kMaxHeaderBytes), sealed.size(), name);
    if (!file.ok()) return file.status();
    std::string out;
    for (uint64_t i = 0; i < (*file)->pieces; ++i) {
      const auto [from, size] = (*file)->PlaceOf(i);
      auto piece = (*file)->OpenPiece(i, sealed.substr(from, size));
      if (!piece.ok()) return piece.status();
      out += *piece;
    }
    if (out.size() != (*file)->plain_bytes) return absl::InternalError("another size");
    return out;
  }
  FileCipher cipher_{Keys({"k1"}), "images"};
};

TEST_F(FileCipherTest, FilesOfEverySize) {
  constexpr size_t kPiece = SealedFile::kPieceBytes;
  for (const size_t size : {size_t{0}, size_t{1}, kPiece - 1, kPiece, kPiece + 1, 3 * kPiece}) {
    const std::string plain = Octets(size);
    const std::string sealed = cipher_.Seal(plain, "a.jpg").value();
    EXPECT_TRUE(FileCipher::IsSealed(sealed));
    EXPECT_EQ(FileCipher::KeyIdOf(sealed), "k1");
    EXPECT_LE(sealed.size(), FileCipher::SealedBytes(size));
    EXPECT_EQ(Read(sealed, "a.jpg").value(), plain) << size;
  }
}

TEST_F(FileCipherTest, IsBoundToItsNameAndItsEnd) {
  constexpr size_t kPiece = SealedFile::kPieceBytes;
  const std::string plain = Octets(3 * kPiece);
  const std::string sealed = cipher_.Seal(plain, "a.jpg").value();
  EXPECT_EQ(Read(sealed, "b.jpg").status().code(), absl::StatusCode::kDataLoss);
  const size_t header = sealed.size() - 3 * (kPiece + kGcmTagBytes);
  // Cut where a piece ends, so that what is left looks whole.
  EXPECT_FALSE(Read(sealed.substr(0, header + 2 * (kPiece + kGcmTagBytes)), "a.jpg").ok());
  // Two pieces exchanged.
  std::string exchanged = sealed.substr(0, header);
  exchanged += sealed.substr(header + kPiece + kGcmTagBytes, kPiece + kGcmTagBytes);
  exchanged += sealed.substr(header, kPiece + kGcmTagBytes);
  exchanged += sealed.substr(header + 2 * (kPiece + kGcmTagBytes));
  EXPECT_FALSE(Read(exchanged, "a.jpg").ok());
  for (const size_t at : {size_t{9}, header - 1, header, header + 20, sealed.size() - 1}) {
    EXPECT_FALSE(Read(WithBitFlipped(sealed, at), "a.jpg").ok()) << at;
  }
  for (size_t size = 0; size < header + kGcmTagBytes; ++size) {
    EXPECT_FALSE(Read(sealed.substr(0, size), "a.jpg").ok()) << size;
  }
}

TEST_F(FileCipherTest, SaysWhichKeyIsMissing) {
  const std::string sealed = FileCipher(Keys({"k9"}), "images").Seal("x", "a.jpg").value();
  const absl::Status status = Read(sealed, "a.jpg").status();
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(status.message()), HasSubstr("k9"));
}

}  // namespace
}  // namespace viaduct::security
