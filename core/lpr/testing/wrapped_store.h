// For tests: a store that passes everything on, to be derived from by one that does not.
#pragma once

#include <utility>
#include <vector>

#include "core/store/store.h"

namespace viaduct {

class WrappedStore : public Store {
 public:
  explicit WrappedStore(Store* store) : store_(store) {}

  void Append(std::vector<StoreRecord> records, AppendFn done) override {
    store_->Append(std::move(records), std::move(done));
  }
  absl::StatusOr<StoreStatistics> Statistics() override { return store_->Statistics(); }
  absl::StatusOr<RecordsPage> ListRecords(const RecordsQuery& query) override {
    return store_->ListRecords(query);
  }
  absl::StatusOr<DevicesPage> ListDevices(int limit, std::string_view cursor) override {
    return store_->ListDevices(limit, cursor);
  }
  absl::StatusOr<std::vector<SilentDevice>> ListSilent(absl::Time since, int limit,
                                                       int64_t after) override {
    return store_->ListSilent(since, limit, after);
  }
  absl::StatusOr<DeviceRow> GetDevice(std::string_view id) override {
    return store_->GetDevice(id);
  }
  absl::StatusOr<EventsPage> ListEvents(const EventsQuery& query) override {
    return store_->ListEvents(query);
  }
  absl::StatusOr<EventRow> GetEvent(std::string_view id) override { return store_->GetEvent(id); }
  absl::StatusOr<CommunicationPage> ListCommunication(const CommunicationQuery& query) override {
    return store_->ListCommunication(query);
  }
  absl::StatusOr<BlacklistPage> ListBlacklist(int limit, std::string_view cursor) override {
    return store_->ListBlacklist(limit, cursor);
  }
  absl::StatusOr<FileTransferRow> GetFileTransfer(std::string_view id) override {
    return store_->GetFileTransfer(id);
  }
  absl::StatusOr<std::vector<FileTransferRow>> ListFileTransfers(
      const FileTransfersQuery& query) override {
    return store_->ListFileTransfers(query);
  }
  absl::StatusOr<StoreReport> Report(const ReportQuery& query) override {
    return store_->Report(query);
  }
  absl::StatusOr<bool> HasDetection(const MessageKey& key) override {
    return store_->HasDetection(key);
  }
  absl::StatusOr<KeptPage> ListKept(const KeptQuery& query) override {
    return store_->ListKept(query);
  }
  bool Shared() const override { return store_->Shared(); }
  absl::Status Scrub() override { return store_->Scrub(); }
  void NotePresence(const CameraPresence& change) override { store_->NotePresence(change); }
  StoreHealth Health() const override { return store_->Health(); }

 private:
  Store* const store_;
};

}  // namespace viaduct
