// Level data: viaduct.file/1, probe/1, source/1 and infer/1. Everything that was begun ends exactly
// once.
#include <unistd.h>

#include <chrono>
#include <climits>
#include <cstdlib>
#include <fstream>
#include <string>
#include <thread>

#include "arena.h"
#include "fixture.h"
#include "library.h"
#include "subject.h"
#include "viaduct/cpp/text.h"

namespace viaduct::check {
namespace {

constexpr std::chrono::seconds kLimit(60);
constexpr std::chrono::seconds kEndLimit(20);
constexpr std::chrono::seconds kCreditLimit(3);  // For credit to come: a connection is made first.
constexpr size_t kFileBytes = 100000;
constexpr char kFileSha256[] = "";  // Not known: the plugin does not need it to send.

void ExpectAllEnd(Fixture& fixture, Ledger& ledger, std::chrono::seconds limit, const char* what) {
  fixture.Phase(std::string("waiting for ") + what + ".done");
  if (ledger.AwaitAllEnded(limit)) return;
  fixture.Fail(std::string(what) + ": token " + std::to_string(ledger.first_open()) +
               " did not end within " + std::to_string(limit.count()) + " s");
}

// Books what a begin function has answered; true when the item was taken.
bool Book(Fixture& fixture, Ledger& ledger, uint64_t token, int32_t code, const char* function) {
  if (code == VD_OK) {
    ledger.Take(token);
    return true;
  }
  const std::string wrong = ledger.Refuse(token);
  if (!wrong.empty()) fixture.Fail(std::string(function) + ": " + wrong);
  return false;
}

// ---- file ---------------------------------------------------------------------------------------

// A folder that goes with its contents.
class Folder {
 public:
  explicit Folder(Fixture& fixture) {
    char name[] = "/tmp/viaduct-check-XXXXXX";
    if (mkdtemp(name) == nullptr) fixture.Fail("no temporary folder");
    path_ = name;
    std::ofstream(path_ + "/send.bin") << std::string(kFileBytes, 'f');
  }
  ~Folder() {
    unlink((path_ + "/send.bin").c_str());
    unlink((path_ + "/receive.bin").c_str());
    rmdir(path_.c_str());
  }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

struct FileJob {
  uint64_t token;
  uint32_t direction;
  std::string remote_name;
  uint64_t offset;
};

bool BeginFile(Fixture& fixture, Subject& subject, const vd_file_1* table, const Folder& folder,
               const FileJob& wanted) {
  Ledger& ledger = subject.host().files();
  ledger.Offer(wanted.token);
  Arena arena(3 * PATH_MAX);
  auto* job = arena.Record<vd_file_job>();
  const bool send = wanted.direction == VD_FILE_SEND;
  job->token = wanted.token;
  job->direction = wanted.direction;
  job->local_path = arena.Text(folder.path() + (send ? "/send.bin" : "/receive.bin"));
  job->remote_name = arena.Text(wanted.remote_name);
  job->sha256 = arena.Text(kFileSha256);
  job->size = send ? kFileBytes : 0;
  job->offset = wanted.offset;
  vd_error error{};
  error.struct_size = sizeof(error);
  int32_t code = VD_OK;
  subject.OnLane(0, "file.begin", [&] { code = table->begin(subject.instance(), 0, job, &error); });
  if (code != VD_OK && error.code != code) fixture.Fail("file.begin: vd_error is not filled");
  return Book(fixture, ledger, wanted.token, code, "file.begin");
}

uint32_t AwaitCredit(Fixture& fixture, Subject& subject, const vd_file_1* table) {
  const auto deadline = std::chrono::steady_clock::now() + kCreditLimit;
  while (true) {
    const uint32_t credit =
        Guarded(fixture, "file.credit", [&] { return table->credit(subject.instance()); });
    if (credit > 0 || std::chrono::steady_clock::now() > deadline) return credit;
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
}

void FilesEndOnce(Fixture& fixture) {
  const Library library(fixture);
  Subject subject(fixture, library);
  subject.MustStart(FittingConfig(fixture, library));
  const auto* table = subject.Need<vd_file_1>(VD_FILE_1);
  const Folder folder(fixture);
  size_t begun = 0;
  const uint32_t credit = AwaitCredit(fixture, subject, table);
  for (uint64_t token = 1; token <= 8; ++token) {
    const uint32_t direction = token % 2 == 0 ? VD_FILE_SEND : VD_FILE_RECEIVE;
    const bool resumes = token % 4 == 0;
    const FileJob job = {token, direction, "a/" + std::to_string(token) + ".bin",
                         resumes ? kFileBytes / 2 : 0};
    begun += BeginFile(fixture, subject, table, folder, job) ? 1 : 0;
    if (token % 3 == 0) {
      subject.OnLane(0, "file.cancel", [&] { table->cancel(subject.instance(), 0, token); });
    }
  }
  subject.OnLane(0, "file.cancel", [&] { table->cancel(subject.instance(), 0, 424242); });
  ExpectAllEnd(fixture, subject.host().files(), kEndLimit, "file");
  if (begun == 0 && credit == 0) fixture.Skip("has no credit for files; is there a peer?");
}

void BadNamesDoNotEscape(Fixture& fixture) {
  const Library library(fixture);
  Subject subject(fixture, library);
  subject.MustStart(FittingConfig(fixture, library));
  const auto* table = subject.Need<vd_file_1>(VD_FILE_1);
  const Folder folder(fixture);
  AwaitCredit(fixture, subject, table);
  uint64_t token = 0;
  for (const char* name : {"../escaped.bin", "/etc/escaped.bin", "a/../../escaped.bin", ""}) {
    BeginFile(fixture, subject, table, folder, {++token, VD_FILE_SEND, name, 0});
  }
  ExpectAllEnd(fixture, subject.host().files(), kEndLimit, "file");
  if (subject.host().files().ended_as(VD_OUTCOME_DURABLE) > 0) {
    fixture.Fail("file: a name with \"..\", an absolute one or none was sent");
  }
}

// A wish: what is asked is only that names are looked at, and that who refuses says why.
void DiscardsKeepToTheirNames(Fixture& fixture) {
  const Library library(fixture);
  Subject subject(fixture, library);
  subject.MustStart(FittingConfig(fixture, library));
  const auto* table = subject.Need<vd_discard_1>(VD_DISCARD_1);
  for (const char* name : {"a/1.bin", "../escaped.bin", "/etc/escaped.bin", ""}) {
    Arena arena(PATH_MAX);
    auto* leftover = arena.Record<vd_leftover>();
    leftover->remote_name = arena.Text(name);
    leftover->sha256 = arena.Text(kFileSha256);
    vd_error error = {};
    error.struct_size = sizeof(error);
    int32_t code = VD_INTERNAL;
    subject.OnLane(0, "discard",
                   [&] { code = table->discard(subject.instance(), 0, leftover, &error); });
    if (code != VD_OK && error.code != code) fixture.Fail("discard: vd_error is not filled");
    const bool good = std::string(name) == "a/1.bin";
    if (good && code == VD_INVALID_ARGUMENT) fixture.Fail("discard: refuses a good name");
    if (!good && code == VD_OK) fixture.Fail("discard: takes a name that leaves the folder");
  }
}

void StopEndsFiles(Fixture& fixture) {
  const Library library(fixture);
  Subject subject(fixture, library);
  subject.MustStart(FittingConfig(fixture, library));
  const auto* table = subject.Need<vd_file_1>(VD_FILE_1);
  const Folder folder(fixture);
  AwaitCredit(fixture, subject, table);
  for (uint64_t token = 1; token <= 4; ++token) {
    BeginFile(fixture, subject, table, folder, {token, VD_FILE_SEND, "b.bin", 0});
  }
  subject.Stop();
}

// ---- probe --------------------------------------------------------------------------------------

bool Probe(Fixture& fixture, Subject& subject, const vd_probe_1* table, uint64_t token,
           std::chrono::milliseconds limit) {
  Ledger& ledger = subject.host().probes();
  ledger.Offer(token);
  Arena arena(4096);
  auto* probe = arena.Record<vd_probe>();
  const auto deadline = std::chrono::steady_clock::now() + limit;
  probe->token = token;
  probe->payload_size = 64;
  probe->deadline_ns =
      std::chrono::duration_cast<std::chrono::nanoseconds>(deadline.time_since_epoch()).count();
  int32_t code = VD_OK;
  subject.OnLane(0, "probe", [&] { code = table->probe(subject.instance(), 0, probe); });
  return Book(fixture, ledger, token, code, "probe");
}

void ProbesEndByTheirDeadline(Fixture& fixture) {
  const Library library(fixture);
  Subject subject(fixture, library);
  subject.MustStart(FittingConfig(fixture, library));
  const auto* table = subject.Need<vd_probe_1>(VD_PROBE_1);
  for (uint64_t token = 1; token <= 5; ++token) {
    if (!Probe(fixture, subject, table, token, std::chrono::milliseconds(500))) {
      fixture.Fail("probe: refused while none is under way");
    }
    Probe(fixture, subject, table, token + 100, std::chrono::milliseconds(500));
    ExpectAllEnd(fixture, subject.host().probes(), std::chrono::seconds(2), "probe");
  }
}

void StopEndsProbes(Fixture& fixture) {
  const Library library(fixture);
  Subject subject(fixture, library);
  subject.MustStart(FittingConfig(fixture, library));
  const auto* table = subject.Need<vd_probe_1>(VD_PROBE_1);
  Probe(fixture, subject, table, 1, std::chrono::seconds(30));
  subject.Stop();
}

// ---- source -------------------------------------------------------------------------------------

void SourceKeepsToItsRoom(Fixture& fixture) {
  const Library library(fixture);
  Subject subject(fixture, library);
  subject.MustStart(FittingConfig(fixture, library));
  subject.Need<vd_source_1>(VD_SOURCE_1);
  const Traffic& traffic = subject.host().traffic();
  Guarded(fixture, "on_room", [&] { subject.host().GiveFrameRoom(); });
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(3);
  fixture.Phase("waiting for frames");
  while (traffic.frames_ended < 20 && std::chrono::steady_clock::now() < deadline) {
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  subject.Stop();
  if (traffic.pushed == 0) fixture.Skip("pushed no frame; is there a camera?");
}

// ---- infer --------------------------------------------------------------------------------------

struct Picture {
  uint32_t fourcc;
  uint32_t planes;
  uint32_t width;
  uint32_t height;
};

bool Infer(Fixture& fixture, Subject& subject, const vd_infer_1* table, uint64_t ticket,
           const Picture& picture) {
  Ledger& ledger = subject.host().inferences();
  ledger.Offer(ticket);
  const uint64_t luma = static_cast<uint64_t>(picture.width) * picture.height;
  vd_buffer* buffer = subject.host().MakeBuffer(std::string(static_cast<size_t>(luma) * 3, '\x40'));
  int32_t code = VD_OK;
  {
    Arena arena(4096);
    auto* frame = arena.Record<vd_frame>();
    frame->fourcc = picture.fourcc;
    frame->width = picture.width;
    frame->height = picture.height;
    frame->plane_count = picture.planes;
    frame->planes[0] = {0, picture.planes == 1 ? luma * 3 : luma, picture.width, 0};
    if (picture.planes == 1) frame->planes[0].stride = picture.width * 3;
    if (picture.planes == 2) frame->planes[1] = {luma, luma / 2, picture.width, 0};
    frame->buffer = buffer;
    frame->descriptor = -1;
    frame->ticket = ticket;
    frame->sequence = ticket;
    frame->capture_ns = 1767323045000000000;
    frame->deadline_ns = ticket % 5 == 4 ? 1 : 0;
    frame->source = arena.Text("camera0");
    const vd_str options = arena.Text(ticket % 2 == 0 ? "{}" : "");
    subject.OnLane(0, "infer",
                   [&] { code = table->infer(subject.instance(), 0, ticket, frame, options); });
  }
  buffer->unref(buffer);
  return Book(fixture, ledger, ticket, code, "infer");
}

void InferencesEndOnce(Fixture& fixture) {
  const Library library(fixture);
  Subject subject(fixture, library);
  subject.MustStart(FittingConfig(fixture, library));
  const auto* table = subject.Need<vd_infer_1>(VD_INFER_1);
  constexpr Picture kPictures[] = {
      {VD_FOURCC('R', 'G', '2', '4'), 1, 64, 48},
      {VD_FOURCC('N', 'V', '1', '2'), 2, 64, 48},
      {VD_FOURCC_JPEG, 1, 64, 48},
      {VD_FOURCC('?', '?', '?', '?'), 1, 64, 48},
  };
  for (uint64_t ticket = 1; ticket <= 40; ++ticket) {
    Guarded(fixture, "infer.credit", [&] { return table->credit(subject.instance()); });
    Infer(fixture, subject, table, ticket, kPictures[ticket % std::size(kPictures)]);
    if (ticket % 7 == 0) {
      subject.OnLane(0, "infer.cancel", [&] { table->cancel(subject.instance(), 0, ticket); });
    }
  }
  subject.OnLane(0, "infer.cancel", [&] { table->cancel(subject.instance(), 0, 424242); });
  ExpectAllEnd(fixture, subject.host().inferences(), kEndLimit, "infer");
}

void StopEndsInferences(Fixture& fixture) {
  const Library library(fixture);
  Subject subject(fixture, library);
  subject.MustStart(FittingConfig(fixture, library));
  const auto* table = subject.Need<vd_infer_1>(VD_INFER_1);
  for (uint64_t ticket = 1; ticket <= 8; ++ticket) {
    Infer(fixture, subject, table, ticket, {VD_FOURCC('R', 'G', '2', '4'), 1, 64, 48});
  }
  subject.Stop();
}

}  // namespace

std::vector<Test> JobTests() {
  const Level level = Level::kData;
  return {
      {"file_ends_once", level, kLimit, &FilesEndOnce,
       "a transfer that was begun ends with exactly one done"},
      {"file_names_do_not_escape", level, kLimit, &BadNamesDoNotEscape,
       "a name that leaves the folder is refused"},
      {"discard_keeps_to_its_names", level, kLimit, &DiscardsKeepToTheirNames,
       "what is left of a file is named as a file is"},
      {"file_stop_ends_all", level, kLimit, &StopEndsFiles,
       "stop ends every transfer that is under way"},
      {"probe_ends_by_its_deadline", level, kLimit, &ProbesEndByTheirDeadline,
       "a probe ends once, at its deadline at the latest"},
      {"probe_stop_ends_it", level, kLimit, &StopEndsProbes, "stop ends a probe that is under way"},
      {"source_keeps_to_its_room", level, kLimit, &SourceKeepsToItsRoom,
       "frames are whole and are pushed only while there is room"},
      {"infer_ends_once", level, kLimit, &InferencesEndOnce,
       "an inference that was begun ends with exactly one done, buffers are given back"},
      {"infer_stop_ends_all", level, kLimit, &StopEndsInferences,
       "stop ends every inference that is under way"},
  };
}

}  // namespace viaduct::check
