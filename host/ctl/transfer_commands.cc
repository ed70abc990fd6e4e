#include <algorithm>
#include <fstream>
#include <iostream>
#include <map>
#include <memory>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "host/ctl/format.h"
#include "host/ctl/session.h"
#include "viaduct/control/v1/transfers.grpc.pb.h"
#include "viaduct/gateway/v1/gateway.grpc.pb.h"

namespace viaduct::ctl {
namespace {

namespace pb = viaduct::control::v1;
namespace gw = viaduct::gateway::v1;
using Stub = pb::Transfers::Stub;
using GatewayStub = gw::Gateway::Stub;

constexpr size_t kPieceBytes = 1u << 20;
constexpr size_t kBarCells = 20;
constexpr size_t kMaxShown = 40;  // Lines of the watch view.
constexpr absl::Duration kRedraw = absl::Milliseconds(200);

struct FilterArguments {
  std::vector<std::string> ids;
  std::string device;
  std::string priority;
  std::vector<std::string> states;
};

struct SendArguments {
  std::string path;
  std::string id;
  std::string device;
  std::string name;
  std::string priority = "normal";
  std::string kind = "file";
  std::string message_id;
  uint32_t index = 0;
  std::string take = "reference";
  bool stream = false;
};

std::string StateText(pb::TransferState state) {
  return EnumText(pb::TransferState_Name(state), "TRANSFER_STATE_");
}

std::string Upper(std::string text) {
  for (char& c : text) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  return text;
}

// "[########............]  40 %"
std::string BarText(const pb::Transfer& transfer) {
  const bool done = transfer.state() == pb::TRANSFER_STATE_DONE ||
                    transfer.state() == pb::TRANSFER_STATE_WAITING_CONFIRMATION;
  const double share = done                   ? 1
                       : transfer.size() == 0 ? 0
                                              : static_cast<double>(transfer.moved()) /
                                                    static_cast<double>(transfer.size());
  const auto full = static_cast<size_t>(std::clamp(share, 0.0, 1.0) * kBarCells);
  return absl::StrFormat("[%s%s] %3.0f %%", std::string(full, '#'),
                         std::string(kBarCells - full, '.'), std::clamp(share, 0.0, 1.0) * 100);
}

std::string SpeedText(const pb::Transfer& transfer) {
  if (transfer.bytes_per_second() == 0) return "-";
  return absl::StrCat(BytesText(transfer.bytes_per_second()), "/s");
}

void AddFilter(CLI::App* command, FilterArguments* arguments) {
  command->add_option("--id", arguments->ids, "transfer ids");
  command->add_option("--device", arguments->device, "edge_device_id");
  command->add_option("--priority", arguments->priority)
      ->check(CLI::IsMember({"high", "normal", "low"}));
  command->add_option("--state", arguments->states)
      ->check(CLI::IsMember(
          {"queued", "active", "waiting_confirmation", "done", "failed", "cancelled"}));
}

void Fill(const FilterArguments& arguments, pb::TransferFilter* filter) {
  for (const auto& id : arguments.ids) filter->add_transfer_ids(id);
  filter->set_edge_device_id(arguments.device);
  filter->set_priority(arguments.priority);
  for (const std::string& state : arguments.states) {
    pb::TransferState value = pb::TRANSFER_STATE_UNSPECIFIED;
    if (pb::TransferState_Parse("TRANSFER_STATE_" + Upper(state), &value)) {
      filter->add_states(value);
    }
  }
}

void AddRow(const pb::Transfer& transfer, Table* table) {
  table->Add({Cell(transfer.transfer_id()), Cell(transfer.remote_name()),
              BytesText(transfer.size()), Cell(transfer.priority()), StateText(transfer.state()),
              BarText(transfer), SpeedText(transfer), Cell(transfer.road()),
              absl::StrCat(transfer.attempts()), Cell(transfer.last_error())});
}

Table NewTable() {
  return Table({"TRANSFER", "NAME", "SIZE", "PRIORITY", "STATE", "PROGRESS", "SPEED", "ROAD",
                "ATTEMPTS", "LAST ERROR"});
}

ExitCode Info(Session* session) {
  pb::TransfersGetInfoResponse response;
  const ExitCode code =
      session->Call<pb::Transfers>(&Stub::GetInfo, pb::TransfersGetInfoRequest(), &response);
  if (code != kOk) return code;
  if (session->json()) {
    Session::PrintJson(response);
    return kOk;
  }
  const auto& info = response.transfers();
  Table table({"TRANSFERS", info.full() ? "full" : ""});
  table.Add({"queued", absl::StrCat(info.queued())});
  table.Add({"active", absl::StrCat(info.active())});
  table.Add({"waiting for the server", absl::StrCat(info.waiting_confirmation())});
  table.Add({"failed", absl::StrCat(info.failed())});
  table.Add({"done", absl::StrCat(info.done())});
  table.Add({"cancelled", absl::StrCat(info.cancelled())});
  table.Add({"not confirmed", BytesText(info.bytes())});
  table.Add({"in the node's folder",
             absl::StrCat(BytesText(info.held_bytes()), " of ", BytesText(info.max_bytes()))});
  table.Add({"sent since the start",
             absl::StrCat(info.sent_files(), " files, ", BytesText(info.sent_bytes()))});
  table.Add({"failed attempts", absl::StrCat(info.failed_attempts())});
  table.Print(std::cout);
  return kOk;
}

ExitCode List(Session* session, const FilterArguments& arguments, uint32_t limit,
              const std::string& page) {
  pb::TransfersListRequest request;
  Fill(arguments, request.mutable_filter());
  request.set_page_size(limit);
  request.set_page_token(page);
  pb::TransfersListResponse response;
  const ExitCode code = session->Call<pb::Transfers>(&Stub::List, request, &response);
  if (code != kOk) return code;
  if (session->json()) {
    Session::PrintJson(response);
    return kOk;
  }
  Table table = NewTable();
  for (const auto& transfer : response.transfers()) AddRow(transfer, &table);
  table.Print(std::cout);
  if (!response.next_page_token().empty()) {
    std::cout << "... and more: --page " << response.next_page_token() << "\n";
  }
  return kOk;
}

void PrintOne(const pb::Transfer& transfer) {
  Table table({"TRANSFER", Cell(transfer.transfer_id())});
  table.Add({"state", absl::StrCat(StateText(transfer.state()), "  ", BarText(transfer))});
  table.Add({"device", Cell(transfer.edge_device_id())});
  table.Add({"file", Cell(transfer.local_path())});
  table.Add({"name there", Cell(transfer.remote_name())});
  table.Add({"size", absl::StrCat(transfer.size(), " (", BytesText(transfer.size()), ")")});
  table.Add({"sha256", Cell(transfer.sha256())});
  table.Add({"priority", Cell(transfer.priority())});
  table.Add({"kind", absl::StrCat(Cell(transfer.kind()), " ", transfer.index())});
  table.Add({"detection", Cell(transfer.message_id())});
  table.Add({"road", Cell(transfer.road())});
  table.Add({"moved, durable", absl::StrCat(transfer.moved(), ", ", transfer.durable())});
  table.Add({"attempts", absl::StrCat(transfer.attempts())});
  table.Add({"last error", Cell(transfer.last_error())});
  table.Add({"captured", TimeText(transfer.captured_at())});
  table.Add({"accepted", TimeText(transfer.created_at())});
  table.Add({"changed", TimeText(transfer.changed_at())});
  table.Add({"announced", transfer.announced() ? "yes" : "no"});
  table.Print(std::cout);
}

ExitCode Show(Session* session, const std::string& id) {
  pb::TransfersGetRequest request;
  request.set_transfer_id(id);
  pb::TransfersGetResponse response;
  const ExitCode code = session->Call<pb::Transfers>(&Stub::Get, request, &response);
  if (code != kOk) return code;
  if (session->json()) {
    Session::PrintJson(response);
  } else {
    PrintOne(response.transfer());
  }
  return kOk;
}

template <typename Request, typename Response>
ExitCode ChangeOne(Session* session, Session::UnaryMethod<Stub, Request, Response> method,
                   const std::string& id) {
  Request request;
  request.set_transfer_id(id);
  Response response;
  const ExitCode code = session->Call<pb::Transfers>(method, request, &response);
  if (code != kOk) return code;
  if (session->json()) {
    Session::PrintJson(response);
  } else {
    std::cout << response.transfer().transfer_id() << "  " << StateText(response.transfer().state())
              << "\n";
  }
  return kOk;
}

// What a watch view shows: what is on its way, and what has changed last.
class WatchView {
 public:
  void Take(const pb::Transfer& transfer) {
    order_.erase(std::remove(order_.begin(), order_.end(), transfer.transfer_id()), order_.end());
    order_.insert(order_.begin(), transfer.transfer_id());
    transfers_[transfer.transfer_id()] = transfer;
    while (order_.size() > 4 * kMaxShown) {
      transfers_.erase(order_.back());
      order_.pop_back();
    }
  }
  void Draw() {
    const absl::Time now = absl::Now();
    if (now - drawn_ < kRedraw) return;
    drawn_ = now;
    BeginPicture();
    Table table = NewTable();
    size_t shown = 0;
    for (const bool active : {true, false}) {
      for (const std::string& id : order_) {
        const pb::Transfer& transfer = transfers_[id];
        if ((transfer.state() == pb::TRANSFER_STATE_ACTIVE) != active) continue;
        if (++shown <= kMaxShown) AddRow(transfer, &table);
      }
    }
    table.Print(std::cout);
    std::cout.flush();
  }

 private:
  std::map<std::string, pb::Transfer> transfers_;
  std::vector<std::string> order_;  // The latest first.
  absl::Time drawn_ = absl::InfinitePast();
};

ExitCode Watch(Session* session, const std::vector<std::string>& devices) {
  pb::TransfersWatchRequest request;
  for (const std::string& device : devices) request.add_edge_device_ids(device);
  WatchView view;
  bool synced = false;
  return session
      ->Stream<pb::Transfers, Stub, pb::TransfersWatchRequest, pb::TransfersWatchResponse>(
          &Stub::Watch, request, [&](const pb::TransfersWatchResponse& event) {
            if (session->json()) return true;
            synced = synced || event.has_synced();
            if (event.has_lagged()) std::cerr << event.lagged().missed() << " missed\n";
            if (event.has_transfer()) view.Take(event.transfer());
            if (!OutputIsTerminal() && event.has_transfer()) {
              const pb::Transfer& transfer = event.transfer();
              std::cout << transfer.transfer_id() << "  " << StateText(transfer.state()) << "  "
                        << BarText(transfer) << "  " << Cell(transfer.remote_name()) << "\n";
            } else if (synced) {
              view.Draw();
            }
            return true;
          });
}

void FillInfo(const SendArguments& arguments, gw::FileInfo* info) {
  info->set_transfer_id(arguments.id);
  info->set_edge_device_id(arguments.device);
  info->set_name(arguments.name);
  info->set_kind(arguments.kind);
  info->set_message_id(arguments.message_id);
  info->set_index(arguments.index);
  gw::Priority priority = gw::PRIORITY_UNSPECIFIED;
  gw::Priority_Parse("PRIORITY_" + Upper(arguments.priority), &priority);
  info->set_priority(priority);
}

void PrintReceipt(const gw::FileReceipt& receipt) {
  std::cout << receipt.transfer_id() << "  "
            << EnumText(gw::ResultStatus_Name(receipt.status()), "RESULT_STATUS_") << "  "
            << Cell(receipt.remote_name()) << "  " << BytesText(receipt.size()) << "\n";
}

// Writes the file piece by piece; false when it cannot be read, or nobody takes it any more.
bool WritePieces(std::ifstream* file, uint64_t size,
                 grpc::ClientWriter<gw::SendFileStreamRequest>* writer) {
  gw::SendFileStreamRequest piece;
  std::string block(kPieceBytes, '\0');
  for (uint64_t sent = 0; file->read(block.data(), static_cast<std::streamsize>(block.size())) ||
                          file->gcount() > 0;) {
    const auto got = static_cast<size_t>(file->gcount());
    piece.set_data(block.substr(0, got));
    if (!writer->Write(piece)) return false;
    sent += got;
    if (!OutputIsTerminal()) continue;
    pb::Transfer shown;
    shown.set_size(size);
    shown.set_moved(sent);
    std::cout << "\r" << BarText(shown) << std::flush;
  }
  if (OutputIsTerminal()) std::cout << "\n";
  piece.mutable_end()->set_size(size);
  return !file->bad() && writer->Write(piece);
}

ExitCode SendPieces(Session* session, SendArguments arguments) {
  std::ifstream file(arguments.path, std::ios::binary | std::ios::ate);
  if (!file) {
    std::cerr << "viaductctl: " << arguments.path << ": cannot be read\n";
    return kInvalid;
  }
  const auto size = static_cast<uint64_t>(file.tellg());
  file.seekg(0);
  if (arguments.name.empty()) {
    arguments.name = arguments.path.substr(arguments.path.rfind('/') + 1);
  }
  auto channel = session->Channel();
  if (channel == nullptr) return kUsage;
  auto stub = gw::Gateway::NewStub(channel);
  grpc::ClientContext context;
  gw::SendFileStreamResponse response;
  auto writer = stub->SendFileStream(&context, &response);
  gw::SendFileStreamRequest first;
  FillInfo(arguments, first.mutable_file());
  if (writer->Write(first)) WritePieces(&file, size, writer.get());
  writer->WritesDone();
  const ExitCode code = session->Report(writer->Finish());
  if (code != kOk) return code;
  if (session->json()) {
    Session::PrintJson(response);
  } else {
    PrintReceipt(response.receipt());
  }
  return kOk;
}

ExitCode Send(Session* session, const SendArguments& arguments) {
  if (arguments.stream) return SendPieces(session, arguments);
  gw::SendFileRequest request;
  FillInfo(arguments, request.mutable_file());
  request.set_path(arguments.path);
  gw::FileTake take = gw::FILE_TAKE_UNSPECIFIED;
  gw::FileTake_Parse("FILE_TAKE_" + Upper(arguments.take), &take);
  request.set_take(take);
  gw::SendFileResponse response;
  const ExitCode code = session->Call<gw::Gateway>(&GatewayStub::SendFile, request, &response);
  if (code != kOk) return code;
  if (session->json()) {
    Session::PrintJson(response);
  } else {
    PrintReceipt(response.receipt());
  }
  return kOk;
}

void AddSend(CLI::App* transfers, Session* session) {
  auto arguments = std::make_shared<SendArguments>();
  CLI::App* send = AddCommand(transfers, session, "send", "queue a file",
                              [=] { return Send(session, *arguments); });
  send->add_option("file", arguments->path, "its path on the node; here with --stream")->required();
  send->add_flag("--stream", arguments->stream, "send its octets, not its path");
  send->add_option("--id", arguments->id, "transfer id, a UUID: a repetition has one effect");
  send->add_option("--device", arguments->device, "edge_device_id (default: the node)");
  send->add_option("--name", arguments->name, "name below the device's folder on the server");
  send->add_option("--priority", arguments->priority)
      ->check(CLI::IsMember({"high", "normal", "low"}));
  send->add_option("--kind", arguments->kind)->check(CLI::IsMember({"image", "plate", "file"}));
  send->add_option("--message-id", arguments->message_id, "of the detection it belongs to");
  send->add_option("--index", arguments->index, "of a plate, from 0");
  send->add_option("--take", arguments->take, "what the node keeps of it (default: reference)")
      ->check(CLI::IsMember({"reference", "link", "copy"}));
}

}  // namespace

void AddTransferCommands(CLI::App* app, Session* session) {
  CLI::App* transfers = app->add_subcommand("transfers", "files on their way to the server");
  transfers->require_subcommand(1);
  AddCommand(transfers, session, "info", "how many, how full", [=] { return Info(session); });
  auto filter = std::make_shared<FilterArguments>();
  auto limit = std::make_shared<uint32_t>(0);
  auto page = std::make_shared<std::string>();
  CLI::App* list = AddCommand(transfers, session, "list", "in the order of acceptance",
                              [=] { return List(session, *filter, *limit, *page); });
  AddFilter(list, filter.get());
  list->add_option("-n,--limit", *limit, "how many (default 100, at most 1000)");
  list->add_option("--page", *page, "go on where the list before has ended");
  auto devices = std::make_shared<std::vector<std::string>>();
  CLI::App* watch = AddCommand(transfers, session, "watch", "follow them as they go",
                               [=] { return Watch(session, *devices); });
  watch->add_option("--device", *devices, "edge_device_ids");
  auto id = std::make_shared<std::string>();
  const auto with_id = [&](const char* name, const char* help, Session::Action action) {
    AddCommand(transfers, session, name, help, std::move(action))
        ->add_option("transfer", *id, "its id")
        ->required();
  };
  with_id("show", "all of one", [=] { return Show(session, *id); });
  with_id("cancel", "end one for good", [=] {
    return ChangeOne<pb::TransfersCancelRequest, pb::TransfersCancelResponse>(session,
                                                                              &Stub::Cancel, *id);
  });
  with_id("retry", "queue one that has failed or was cancelled", [=] {
    return ChangeOne<pb::TransfersRetryRequest, pb::TransfersRetryResponse>(session, &Stub::Retry,
                                                                            *id);
  });
  AddSend(transfers, session);
}

}  // namespace viaduct::ctl
