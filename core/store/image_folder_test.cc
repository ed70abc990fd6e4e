#include "core/store/image_folder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"

namespace viaduct {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;

std::string Jpeg() {
  std::string jpeg("\xff\xd8\xff\xc0\x00\x0b\x08\x00\x01\x00\x01\x01\x01\x11\x00", 15);
  jpeg += std::string("\xff\xda\x00\x08\x01\x01\x00\x00\x3f\x00\x12\x34\xff\xd9", 14);
  return jpeg;
}

std::string Png() {
  std::string png("\x89PNG\r\n\x1a\n\x00\x00\x00\x0dIHDR", 16);
  png += std::string(13 + 4, '\0');
  png += std::string("\x00\x00\x00\x00IEND\xae\x42\x60\x82", 12);
  return png;
}

std::string Webp() {
  return std::string(
      "RIFF\x10\x00\x00\x00WEBPVP8 \x04\x00\x00\x00"
      "abcd",
      24);
}

TEST(ImageDataTest, RecognizesWholeFilesOnly) {
  EXPECT_EQ(RecognizeImage(Jpeg()), ".jpg");
  EXPECT_EQ(RecognizeImage(Png()), ".png");
  EXPECT_EQ(RecognizeImage(Webp()), ".webp");
  for (const std::string& whole : {Jpeg(), Png(), Webp()}) {
    for (size_t size = 0; size < whole.size(); ++size) {
      EXPECT_EQ(RecognizeImage(whole.substr(0, size)), "") << size << " of " << whole.size();
    }
  }
  EXPECT_EQ(RecognizeImage("GIF89a"), "");
  EXPECT_EQ(RecognizeImage(std::string("\xff\xd8\xff\xd9", 4)), "");  // No frame, no scan.
}

TEST(ImageDataTest, DecodesBase64AndDataUrls) {
  const std::string text = absl::Base64Escape(Jpeg());
  std::string lines = text;
  lines.insert(20, "\r\n");
  for (const std::string& form :
       {text, text.substr(0, text.find('=')), lines, "data:image/jpeg;base64," + text,
        "DATA:image/jpeg;charset=x;BASE64," + text}) {
    const auto image = DecodeImage(form, 1000);
    ASSERT_TRUE(image.ok()) << image.status() << form;
    EXPECT_EQ(image->bytes, Jpeg());
    EXPECT_EQ(image->extension, ".jpg");
  }
}

TEST(ImageDataTest, SaysWhatIsWrong) {
  EXPECT_EQ(DecodeImage("", 100).status().message(), "empty");
  EXPECT_EQ(DecodeImage("%%%", 100).status().message(), "not base64");
  EXPECT_EQ(DecodeImage("data:image/png,abc", 100).status().message(),
            "a data URL without base64 data");
  EXPECT_EQ(DecodeImage(absl::Base64Escape("hello"), 100).status().message(),
            "neither a whole JPEG nor PNG nor WebP");
  const auto large = DecodeImage(std::string(4000, 'A'), 100);
  EXPECT_EQ(large.status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(large.status().message(), "too large, 3000 bytes, limit 100");
}

TEST(SafePathNameTest, MakesOneHarmlessNameOfAnyText) {
  EXPECT_EQ(SafePathName("CAM-001_a.b"), "CAM-001_a.b");
  EXPECT_EQ(SafePathName(""), "=");
  EXPECT_EQ(SafePathName("."), "=2E");
  EXPECT_EQ(SafePathName(".."), "=2E.");
  EXPECT_EQ(SafePathName("../../etc/passwd"), "=2E.=2F..=2Fetc=2Fpasswd");
  EXPECT_EQ(SafePathName("a=b"), "a=3Db");
  EXPECT_EQ(SafePathName(std::string("a\0b", 3)), "a=00b");
  const std::string longer = SafePathName(std::string(500, 'x'));
  EXPECT_LE(longer.size(), 100u);
  EXPECT_NE(longer, SafePathName(std::string(501, 'x')));
  EXPECT_NE(SafePathName(longer), longer);
}

class ImageFolderTest : public ::testing::Test {
 protected:
  ImageFolderTest() {
    std::string path = ::testing::TempDir() + "/images-XXXXXX";
    root_ = mkdtemp(path.data());
    Reopen();
  }
  ~ImageFolderTest() override { fs::remove_all(root_); }

  void Reopen() {
    auto folder = ImageFolder::Open(ImageFolderOptions{root_}, &log_);
    ASSERT_TRUE(folder.ok()) << folder.status();
    folder_ = std::move(*folder);
  }
  DetectionImages Images() {
    DetectionImages images;
    images.key = MakeMessageKey("m-1", "CAM001", absl::UnixEpoch());
    images.camera_id = "CAM001";
    images.checkpoint_id = "CP01";
    images.captured_at = absl::FromUnixSeconds(1705314600);
    images.annotated = &jpeg_;
    images.plates = {&png_, nullptr};
    return images;
  }
  int64_t Files() {
    int64_t count = 0;
    for (const auto& entry : fs::recursive_directory_iterator(root_)) {
      count += entry.is_directory() ? 0 : 1;
    }
    return count;
  }

  NullLog log_;
  std::string root_;
  const Image jpeg_{Jpeg(), ".jpg"};
  const Image png_{Png(), ".png"};
  std::unique_ptr<ImageFolder> folder_;
};

TEST_F(ImageFolderTest, WritesFilesUnderTheirNamesAndReadsThem) {
  const auto paths = folder_->Write(Images());
  ASSERT_TRUE(paths.ok()) << paths.status();
  const std::string id = FormatKey(Images().key);
  EXPECT_EQ(paths->annotated, "CAM001/CP01/2024/01/15/detection_" + id + ".jpg");
  EXPECT_THAT(paths->plates, ElementsAre("CAM001/CP01/2024/01/15/plate_" + id + "_1.png", ""));
  EXPECT_EQ(*folder_->Read(paths->annotated), Jpeg());
  EXPECT_EQ(*folder_->Read(paths->plates[0]), Png());
  folder_->Committed(Images().key);
  EXPECT_EQ(Files(), 2);
}

TEST_F(ImageFolderTest, RemovesWhatIsDiscarded) {
  const auto paths = folder_->Write(Images());
  ASSERT_TRUE(paths.ok());
  folder_->Discard(Images().key, *paths);
  EXPECT_EQ(Files(), 0);
}

TEST_F(ImageFolderTest, CleansUpWhatWasNeverCommitted) {
  ASSERT_TRUE(folder_->Write(Images()).ok());
  std::ofstream(root_ + "/.incoming/half.tmp") << "half";
  Reopen();
  MessageKey asked{};
  ASSERT_TRUE(folder_
                  ->CleanUp([&](const MessageKey& key) -> absl::StatusOr<bool> {
                    asked = key;
                    return false;
                  })
                  .ok());
  EXPECT_EQ(asked, Images().key);
  EXPECT_EQ(Files(), 0);
}

TEST_F(ImageFolderTest, KeepsWhatWasCommittedBeforeACrash) {
  const auto paths = folder_->Write(Images());
  ASSERT_TRUE(paths.ok());
  Reopen();
  ASSERT_TRUE(
      folder_->CleanUp([](const MessageKey&) -> absl::StatusOr<bool> { return true; }).ok());
  EXPECT_EQ(*folder_->Read(paths->annotated), Jpeg());
  EXPECT_EQ(Files(), 2);
}

TEST_F(ImageFolderTest, CleanUpKeepsEverythingWhileTheStoreCannotBeAsked) {
  ASSERT_TRUE(folder_->Write(Images()).ok());
  EXPECT_EQ(folder_
                ->CleanUp([](const MessageKey&) -> absl::StatusOr<bool> {
                  return absl::UnavailableError("busy");
                })
                .code(),
            absl::StatusCode::kUnavailable);
  EXPECT_EQ(Files(), 3);
}

TEST_F(ImageFolderTest, WritesAgainWhenAFolderWasRemoved) {
  ASSERT_TRUE(folder_->Write(Images()).ok());
  fs::remove_all(root_ + "/CAM001");
  EXPECT_FALSE(folder_->Write(Images()).ok());  // It learns of it here,
  EXPECT_TRUE(folder_->Write(Images()).ok());   // and makes the folder anew.
}

TEST_F(ImageFolderTest, AFileInTheWayIsAnErrorAndLeavesNothing) {
  std::ofstream(root_ + "/CAM001") << "a file";
  const auto paths = folder_->Write(Images());
  EXPECT_EQ(paths.status().code(), absl::StatusCode::kUnavailable) << paths.status();
  EXPECT_EQ(Files(), 1);
}

TEST_F(ImageFolderTest, ReadsNothingElse) {
  const auto paths = folder_->Write(Images());
  ASSERT_TRUE(paths.ok());
  std::ofstream(root_ + "/outside.jpg") << "outside";
  fs::create_symlink(root_ + "/outside.jpg", root_ + "/CAM001/CP01/2024/01/15/link.jpg");
  for (const std::string& path :
       {std::string("outside.jpg"), std::string("CAM001/CP01/2024/01/15/link.jpg"),
        std::string("CAM001/../CAM001/CP01/2024/01/detection.jpg"), "/" + paths->annotated,
        paths->annotated + ".txt", std::string("CAM001/CP01/2024/01/15/"), std::string(5000, 'a'),
        std::string("CAM001/CP01/2024/01/15/missing.jpg")}) {
    EXPECT_EQ(folder_->Read(path).status().code(), absl::StatusCode::kNotFound) << path;
  }
}

class TakenImageTest : public ::testing::Test {
 protected:
  TakenImageTest() {
    std::string path = ::testing::TempDir() + "/taken-XXXXXX";
    root_ = mkdtemp(path.data());
    image_.transfer_id = "01234567-89ab-7def-8123-456789abcdef";
    image_.device_id = "../CAM 1";
    image_.captured_at = absl::FromUnixSeconds(1'705'314'600);
    image_.file = root_ + "/arrived";
    ImageFolderOptions options;
    options.root = root_ + "/images";
    options.max_image_bytes = 1000;
    folder_ = ImageFolder::Open(options, &log_).value();
  }
  ~TakenImageTest() override { fs::remove_all(root_); }
  void Arrive(const std::string& bytes) { std::ofstream(image_.file) << bytes; }

  std::string root_;
  NullLog log_;
  ArrivedImage image_;
  std::unique_ptr<ImageFolder> folder_;
};

TEST_F(TakenImageTest, IsServedUnderTheNameOfItsTransfer) {
  Arrive(Png());
  const auto path = folder_->Take(image_);
  ASSERT_TRUE(path.ok()) << path.status();
  EXPECT_EQ(*path, "=2E.=2FCAM=201/files/2024/01/15/file_01234567-89ab-7def-8123-456789abcdef.png");
  EXPECT_EQ(folder_->Read(*path).value_or(""), Png());
  EXPECT_FALSE(fs::exists(image_.file));
  // Again, as after a crash.
  Arrive(Png());
  EXPECT_EQ(folder_->Take(image_).value_or(""), *path);
  EXPECT_TRUE(folder_->RemoveTaken(image_).ok());
  EXPECT_EQ(folder_->Read(*path).status().code(), absl::StatusCode::kNotFound);
  EXPECT_TRUE(folder_->RemoveTaken(image_).ok());
}

TEST_F(TakenImageTest, WhatIsNoImageStaysWhereItWas) {
  for (const std::string& bytes :
       {std::string(), std::string("GIF89a"), Jpeg().substr(0, 20), std::string(1001, 'x')}) {
    Arrive(bytes);
    EXPECT_EQ(folder_->Take(image_).status().code(), absl::StatusCode::kDataLoss) << bytes;
    EXPECT_TRUE(fs::exists(image_.file));
  }
}

}  // namespace
}  // namespace viaduct
