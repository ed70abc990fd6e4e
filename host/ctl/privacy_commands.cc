#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <memory>
#include <set>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "host/ctl/format.h"
#include "host/ctl/session.h"
#include "viaduct/control/v1/privacy.grpc.pb.h"

namespace viaduct::ctl {
namespace {

namespace fs = std::filesystem;
namespace pb = viaduct::control::v1;
using Stub = pb::Privacy::Stub;

struct SubjectArguments {
  std::string plate;
  std::string device;
};

void AddSubject(CLI::App* command, SubjectArguments* arguments) {
  CLI::Option_group* group = command->add_option_group("subject");
  group->add_option("--plate", arguments->plate, "in any spelling");
  group->add_option("--device", arguments->device, "edge_device_id");
  group->require_option(1);
}

void Fill(const SubjectArguments& arguments, pb::PrivacySubject* subject) {
  if (!arguments.plate.empty()) subject->set_plate(arguments.plate);
  if (!arguments.device.empty()) subject->set_device_id(arguments.device);
}

void PrintCounts(const pb::PrivacyCounts& counts) {
  Table table({"WHAT", "HOW MANY"});
  for (const auto& [name, rows] : counts.rows()) table.Add({Cell(name), absl::StrCat(rows)});
  table.Add({"images", absl::StrCat(counts.images())});
  table.Add({"files", absl::StrCat(counts.files())});
  table.Add({"waiting messages", absl::StrCat(counts.spooled())});
  table.Print(std::cout);
  if (counts.listed()) std::cout << "the plate is on the blacklist no more\n";
  if (counts.in_flight() > 0) {
    std::cout << counts.in_flight() << " messages are on their way just now and stay\n";
  }
  if (counts.unreadable() > 0) {
    std::cout << counts.unreadable() << " waiting messages cannot be read here\n";
  }
  if (counts.in_the_log()) {
    std::cout << "somebody reads the database: its log holds what was removed for a while\n";
  }
}

// What a node says is written below one folder, whatever it says.
class ExportFolder {
 public:
  explicit ExportFolder(std::string folder) : folder_(std::move(folder)) {}

  // "": good. Made when there is something to put into it.
  std::string Make() {
    if (made_ || mkdir(folder_.c_str(), 0700) == 0) {
      made_ = true;
      return "";
    }
    return absl::StrCat("cannot make ", folder_, ", ", std::strerror(errno));
  }

  std::string Add(const pb::PrivacyExportResponse& part) {
    const std::string wrong = Make();
    if (!wrong.empty()) return wrong;
    return part.has_record() ? AddRecord(part.record()) : AddImage(part.image());
  }

  size_t records() const { return records_; }
  size_t images() const { return paths_.size(); }
  const std::set<std::string>& missing() const { return missing_; }

 private:
  static bool IsName(const std::string& name) {
    return !name.empty() && name[0] != '.' && name.find('/') == std::string::npos &&
           name.find('\0') == std::string::npos;
  }

  std::string Append(const fs::path& path, const std::string& octets, bool anew) {
    std::ofstream file(path, std::ios::binary | (anew ? std::ios::trunc : std::ios::app));
    file << octets;
    file.close();
    if (file) return "";
    return absl::StrCat("cannot write ", path.string());
  }

  std::string AddRecord(const pb::PrivacyRecord& record) {
    if (!IsName(record.table())) return "the node names a table that is none";
    ++records_;
    return Append(fs::path(folder_) / (record.table() + ".jsonl"), record.json() + "\n", false);
  }

  std::string AddImage(const pb::PrivacyImage& image) {
    if (!image.error().empty()) {
      missing_.insert(image.path());
      return "";
    }
    fs::path path = fs::path(folder_) / "images";
    for (const absl::string_view part : absl::StrSplit(image.path(), '/')) {
      if (!IsName(std::string(part))) return "the node names an image that is none";
      path /= std::string(part);
    }
    std::error_code error;
    fs::create_directories(path.parent_path(), error);
    if (error) return absl::StrCat("cannot make ", path.parent_path().string());
    const bool anew = current_ != image.path();
    current_ = image.last() ? "" : image.path();
    paths_.insert(image.path());
    return Append(path, image.data(), anew);
  }

  const std::string folder_;
  bool made_ = false;
  size_t records_ = 0;
  std::string current_;  // The image of which a part has come.
  std::set<std::string> paths_;
  std::set<std::string> missing_;
};

ExitCode Export(Session* session, const SubjectArguments& arguments, const std::string& out,
                bool without_images) {
  ExportFolder folder(out);
  if (fs::exists(fs::symlink_status(out))) {
    std::cerr << "viaductctl: " << out << " is there already\n";
    return kUsage;
  }
  std::string wrong;
  pb::PrivacyExportRequest request;
  Fill(arguments, request.mutable_subject());
  request.set_without_images(without_images);
  const ExitCode code =
      session->Stream<pb::Privacy>(&Stub::Export, request,
                                   std::function<bool(const pb::PrivacyExportResponse&)>(
                                       [&](const pb::PrivacyExportResponse& part) {
                                         wrong = folder.Add(part);
                                         return wrong.empty();
                                       }));
  if (code == kOk && wrong.empty()) wrong = folder.Make();
  if (!wrong.empty()) {
    std::cerr << "viaductctl: " << wrong << "\n";
    return kFailed;
  }
  if (code != kOk || session->json()) return code;
  std::cout << folder.records() << " records and " << folder.images() << " images are in " << out
            << "\n";
  for (const std::string& path : folder.missing()) std::cout << "missing: " << path << "\n";
  return kOk;
}

ExitCode Erase(Session* session, const SubjectArguments& arguments, bool dry_run, bool yes,
               bool blacklist) {
  if (!dry_run && !yes) {
    std::cerr << "viaductctl: this cannot be undone; look with --dry-run, then say --yes\n";
    return kUsage;
  }
  pb::PrivacyEraseRequest request;
  Fill(arguments, request.mutable_subject());
  request.set_dry_run(dry_run);
  request.set_blacklist(blacklist);
  pb::PrivacyEraseResponse response;
  const ExitCode code = session->Call<pb::Privacy>(&Stub::Erase, request, &response);
  if (code != kOk) return code;
  if (session->json()) {
    Session::PrintJson(response);
    return kOk;
  }
  PrintCounts(response.counts());
  std::cout << (dry_run ? "nothing was removed\n" : "removed\n");
  return kOk;
}

ExitCode Sweep(Session* session, bool dry_run) {
  pb::PrivacySweepRequest request;
  request.set_dry_run(dry_run);
  pb::PrivacySweepResponse response;
  const ExitCode code = session->Call<pb::Privacy>(&Stub::Sweep, request, &response);
  if (code != kOk) return code;
  if (session->json()) {
    Session::PrintJson(response);
    return kOk;
  }
  PrintCounts(response.counts());
  if (dry_run) std::cout << "nothing was removed\n";
  if (response.more()) std::cout << "there is more, the node goes on by itself\n";
  return kOk;
}

}  // namespace

void AddPrivacyCommands(CLI::App* app, Session* session) {
  CLI::App* privacy = app->add_subcommand("privacy", "what is known of a plate or device");
  privacy->require_subcommand(1);
  auto subject = std::make_shared<SubjectArguments>();
  auto out = std::make_shared<std::string>();
  auto without = std::make_shared<bool>(false);
  CLI::App* exported =
      AddCommand(privacy, session, "export", "records and images into a new folder",
                 [=] { return Export(session, *subject, *out, *without); });
  AddSubject(exported, subject.get());
  exported->add_option("--out", *out, "the folder; it must not be there")->required();
  exported->add_flag("--without-images", *without, "records alone");
  auto dry_run = std::make_shared<bool>(false);
  auto yes = std::make_shared<bool>(false);
  auto blacklist = std::make_shared<bool>(false);
  CLI::App* erase = AddCommand(privacy, session, "erase", "remove it from this node for good", [=] {
    return Erase(session, *subject, *dry_run, *yes, *blacklist);
  });
  AddSubject(erase, subject.get());
  erase->add_flag("--dry-run", *dry_run, "only count");
  erase->add_flag("--yes", *yes, "it cannot be undone");
  erase->add_flag("--blacklist", *blacklist, "take the plate off the blacklist, too");
  CLI::App* sweep =
      AddCommand(privacy, session, "sweep", "remove now what is older than privacy.retention",
                 [=] { return Sweep(session, *dry_run); });
  sweep->add_flag("--dry-run", *dry_run, "only count");
}

}  // namespace viaduct::ctl
