#include "tests/support/stored_rows.h"

#include <sqlite3.h>

#include <fstream>
#include <iterator>
#include <memory>
#include <nlohmann/json.hpp>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"
#include "tests/support/digest.h"
#include "tests/support/ledger.h"

namespace viaduct::support {
namespace {

using nlohmann::json;

constexpr char kDetections[] =
    "SELECT payload, coalesce(image_path, ''), coalesce(plate_images, '') FROM detections";
// The rows that people query; one for each plate, so one for each of our messages.
constexpr char kEvents[] = "SELECT coalesce(license_plate, '') FROM lpr_events";

struct DatabaseCloser {
  void operator()(sqlite3* db) const { sqlite3_close_v2(db); }
};
struct StatementCloser {
  void operator()(sqlite3_stmt* s) const { sqlite3_finalize(s); }
};
using Database = std::unique_ptr<sqlite3, DatabaseCloser>;
using Statement = std::unique_ptr<sqlite3_stmt, StatementCloser>;

absl::StatusOr<Database> Open(const std::string& path) {
  sqlite3* raw = nullptr;
  const int rc = sqlite3_open_v2(path.c_str(), &raw, SQLITE_OPEN_READONLY, nullptr);
  Database db(raw);
  if (rc != SQLITE_OK) {
    return absl::UnavailableError(
        absl::StrCat("store: cannot open ", path, ", ", raw == nullptr ? "" : sqlite3_errmsg(raw)));
  }
  return db;
}

absl::StatusOr<Statement> Prepare(sqlite3* db, const char* sql) {
  sqlite3_stmt* raw = nullptr;
  if (sqlite3_prepare_v2(db, sql, -1, &raw, nullptr) != SQLITE_OK) {
    return absl::InternalError(absl::StrCat("store: ", sqlite3_errmsg(db), ", in ", sql));
  }
  return Statement(raw);
}

std::string Text(sqlite3_stmt* statement, int column) {
  const auto* bytes = static_cast<const char*>(sqlite3_column_blob(statement, column));
  return std::string(bytes == nullptr ? "" : bytes,
                     static_cast<size_t>(sqlite3_column_bytes(statement, column)));
}

// "sha256:..." as DigestView() writes it; a missing file shows up as a changed message.
std::string ImageView(const std::string& root, const std::string& path) {
  std::ifstream in(root + "/" + path, std::ios::binary);
  if (!in) return "missing " + path;
  return "sha256:" + Sha256Hex(std::string(std::istreambuf_iterator<char>(in), {}));
}

std::string PlateId(const json& payload) {
  const auto results = payload.find("ocr_results");
  if (results == payload.end() || !results->is_array() || results->empty())
    return std::string(kNameless);
  const json& first = results->front();
  if (first.is_string()) return first.get<std::string>();
  return first.is_object() ? first.value("text", std::string(kNameless)) : std::string(kNameless);
}

std::string NoBlanks(std::string id) {
  for (char& c : id) {
    if (c == ' ' || c == '\n') c = '_';
  }
  return id.empty() ? std::string(kNameless) : id;
}

void WriteDetection(const StoreFiles& files, sqlite3_stmt* row, std::ostream& out) {
  json payload = json::parse(Text(row, 0), nullptr, false);
  if (!payload.is_object()) {
    out << "stored " << files.source << " ? not-json\n";
    return;
  }
  const std::string image = Text(row, 1);
  const json plates = json::parse(Text(row, 2), nullptr, false);
  if (!image.empty()) payload["annotated_image"] = ImageView(files.images, image);
  if (plates.is_array() && !plates.empty()) {
    json views = json::array();
    for (const json& plate : plates) {
      if (plate.is_string()) views.push_back(ImageView(files.images, plate.get<std::string>()));
    }
    payload["cropped_plates"] = std::move(views);
  }
  out << "stored " << files.source << ' ' << NoBlanks(PlateId(payload)) << ' '
      << ViewDigest(payload.dump()) << '\n';
}

absl::Status Finished(sqlite3* db, int rc) {
  if (rc == SQLITE_DONE) return absl::OkStatus();
  return absl::DataLossError(absl::StrCat("store: cannot read on, ", sqlite3_errmsg(db)));
}

}  // namespace

absl::Status WriteStoredRows(const StoreFiles& files, const std::string& out_path) {
  VD_ASSIGN_OR_RETURN(const Database db, Open(files.database));
  std::ofstream out(out_path, std::ios::binary);
  int rc = SQLITE_DONE;
  VD_ASSIGN_OR_RETURN(const Statement detections, Prepare(db.get(), kDetections));
  while ((rc = sqlite3_step(detections.get())) == SQLITE_ROW) {
    WriteDetection(files, detections.get(), out);
  }
  VD_RETURN_IF_ERROR(Finished(db.get(), rc));
  VD_ASSIGN_OR_RETURN(const Statement events, Prepare(db.get(), kEvents));
  while ((rc = sqlite3_step(events.get())) == SQLITE_ROW) {
    out << "stored " << files.source << "-events " << NoBlanks(Text(events.get(), 0)) << " -\n";
  }
  VD_RETURN_IF_ERROR(Finished(db.get(), rc));
  out.close();
  if (!out) return absl::UnavailableError(absl::StrCat("store: cannot write ", out_path));
  return absl::OkStatus();
}

}  // namespace viaduct::support
