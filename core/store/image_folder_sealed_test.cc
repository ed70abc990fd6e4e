// The image folder with encryption.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "core/base/test_folder.h"
#include "core/store/image_folder.h"

namespace viaduct {
namespace {

namespace fs = std::filesystem;

// A JPEG with `fill` octets of comment behind its end of image.
std::string Jpeg(size_t fill) {
  std::string jpeg("\xff\xd8\xff\xc0\x00\x0b\x08\x00\x01\x00\x01\x01\x01\x11\x00", 15);
  jpeg += std::string("\xff\xda\x00\x08\x01\x01\x00\x00\x3f\x00\x12\x34\xff\xd9", 14);
  for (size_t i = 0; i < fill; ++i) jpeg.push_back(static_cast<char>('a' + i % 26));
  return jpeg;
}

std::shared_ptr<const security::FileCipher> Cipher(const std::vector<std::string>& ids) {
  std::string text;
  for (const std::string& id : ids) {
    absl::StrAppend(&text, id, " ", absl::Base64Escape(std::string(32, id.back())), "\n");
  }
  return std::make_shared<const security::FileCipher>(*security::KeyRing::Parse(text), "images");
}

class SealedImagesTest : public ::testing::Test {
 protected:
  void Open(std::shared_ptr<const security::FileCipher> cipher, bool encrypt) {
    ImageFolderOptions options;
    options.root = root_.path();
    options.cipher = std::move(cipher);
    options.encrypt = encrypt;
    folder_ = ImageFolder::Open(options, &log_).value();
  }
  std::string Write(const std::string& id, const std::string& bytes) {
    const Image image{bytes, ".jpg"};
    DetectionImages images;
    images.key = MakeMessageKey(id, "CAM001", absl::UnixEpoch());
    images.camera_id = "CAM001";
    images.checkpoint_id = "CP01";
    images.captured_at = absl::FromUnixSeconds(1705314600);
    images.annotated = &image;
    const std::string path = folder_->Write(images).value().annotated;
    folder_->Committed(images.key);
    return path;
  }
  std::string OnDisk(const std::string& path) {
    std::ifstream file(root_.path() + "/" + path, std::ios::binary);
    std::stringstream octets;
    octets << file.rdbuf();
    return octets.str();
  }

  NullLog log_;
  TestFolder root_;
  std::unique_ptr<ImageFolder> folder_;
};

TEST_F(SealedImagesTest, ReadsAnyPartOfWhatItHasEncrypted) {
  Open(Cipher({"k1"}), true);
  const std::string bytes = Jpeg(200'000);
  const std::string path = Write("m-1", bytes);
  EXPECT_EQ(OnDisk(path).find("abcdefgh"), std::string::npos);
  EXPECT_EQ(*folder_->Read(path), bytes);
  const ImageFile file = folder_->OpenFile(path).value();
  EXPECT_EQ(file.size, bytes.size());
  for (const uint64_t from : {uint64_t{0}, uint64_t{1}, uint64_t{65'535}, uint64_t{65'536},
                              uint64_t{131'000}, uint64_t{bytes.size() - 1}}) {
    for (const uint64_t size : {uint64_t{1}, uint64_t{100}, uint64_t{70'000}}) {
      const uint64_t most = std::min<uint64_t>(size, bytes.size() - from);
      EXPECT_EQ(*ImageFolder::ReadPart(file, from, most), bytes.substr(from, most)) << from;
    }
  }
}

TEST_F(SealedImagesTest, PlainAndEncryptedLieSideBySide) {
  Open(nullptr, false);
  const std::string plain = Write("m-1", Jpeg(10));
  Open(Cipher({"k1"}), true);
  const std::string first = Write("m-2", Jpeg(20));
  Open(Cipher({"k2", "k1"}), true);
  const std::string second = Write("m-3", Jpeg(30));
  EXPECT_EQ(*folder_->Read(plain), Jpeg(10));
  EXPECT_EQ(*folder_->Read(first), Jpeg(20));
  EXPECT_EQ(*folder_->Read(second), Jpeg(30));
  for (const auto& cipher : {Cipher({"k3"}), std::shared_ptr<const security::FileCipher>()}) {
    Open(cipher, false);
    EXPECT_EQ(*folder_->Read(plain), Jpeg(10));
    EXPECT_EQ(folder_->Read(first).status().code(), absl::StatusCode::kFailedPrecondition);
  }
}

TEST_F(SealedImagesTest, SaysThatOneWasChanged) {
  Open(Cipher({"k1"}), true);
  const std::string path = Write("m-1", Jpeg(100));
  const std::string other = Write("m-2", Jpeg(100));
  std::string octets = OnDisk(path);
  octets[octets.size() / 2] ^= 1;
  std::ofstream(root_.path() + "/" + path, std::ios::binary) << octets;
  EXPECT_EQ(folder_->Read(path).status().code(), absl::StatusCode::kDataLoss);
  fs::rename(root_.path() + "/" + other, root_.path() + "/" + path);
  EXPECT_EQ(folder_->Read(path).status().code(), absl::StatusCode::kDataLoss) << "under its name";
}

TEST_F(SealedImagesTest, SaysThatOneWasCutOffBeforeAnyOfItIsRead) {
  Open(Cipher({"k1"}), true);
  const std::string path = Write("m-1", Jpeg(200'000));
  const std::string file = root_.path() + "/" + path;
  // To the octet behind a piece: what is left is a whole one after the other.
  const size_t header = OnDisk(path).size() - Jpeg(200'000).size() - 4 * 16;
  fs::resize_file(file, header + 2 * (65'536 + 16));
  EXPECT_EQ(folder_->OpenFile(path).status().code(), absl::StatusCode::kDataLoss);
}

TEST_F(SealedImagesTest, TakesAnArrivedFile) {
  Open(Cipher({"k1"}), true);
  ArrivedImage image;
  image.transfer_id = "0190a6f0-1234-7abc-8def-0123456789ab";
  image.device_id = "CAM001";
  image.captured_at = absl::FromUnixSeconds(1705314600);
  image.file = root_.path() + "/.arrived";
  std::ofstream(image.file, std::ios::binary) << Jpeg(50);
  const std::string path = folder_->Take(image).value();
  EXPECT_EQ(*folder_->Read(path), Jpeg(50));
  EXPECT_EQ(OnDisk(path).find("abcdefgh"), std::string::npos);
  EXPECT_FALSE(fs::exists(image.file));
  EXPECT_TRUE(fs::is_empty(root_.path() + "/.incoming"));
}

TEST_F(SealedImagesTest, RemovesFilesAndTheirEmptyFolders) {
  Open(nullptr, false);
  const std::string first = Write("m-1", Jpeg(1));
  const std::string second = Write("m-2", Jpeg(1));
  EXPECT_EQ(*folder_->Remove({first, "../outside.jpg", "a/b.jpg", first}), 1);
  EXPECT_EQ(folder_->Read(first).status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(*folder_->Read(second), Jpeg(1));
  EXPECT_EQ(*folder_->Remove({second}), 1);
  EXPECT_FALSE(fs::exists(root_.path() + "/CAM001"));
  EXPECT_TRUE(fs::exists(root_.path()));
  EXPECT_EQ(*folder_->Read(Write("m-3", Jpeg(2))), Jpeg(2)) << "the folder is made again";
}

}  // namespace
}  // namespace viaduct
