// What the stores share of looking through all rows: which columns there are, which rows match, and
// how a row is written down. Internal to core/store.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "absl/time/time.h"
#include "absl/types/span.h"
#include "core/store/records.h"

namespace viaduct {

// A plate is looked for in plates and JSON as a whole, in prose also as a part of it; never in
// other texts: ids, digests and names may look like one.
enum class KeptType : uint8_t { kText, kPlate, kProse, kJson, kInt, kReal, kTime };

struct KeptColumn {
  const char* name;  // In the JSON.
  const char* sql;
  KeptType type;
};

// Columns of the SELECT of every table before those of its own: number, device, arrival, image,
// images one a line, detection, file ids one a line, waiting, and what KeptPage::next is made of.
inline constexpr int kKeptHeadColumns = 9;

struct KeptTableShape {
  KeptTable table;
  const char* head;   // The columns above.
  const char* from;   // Table and alias.
  const char* joins;  // What stands behind.
  const char* order;  // The column that orders the rows, the last one of the head.
  const char* large;  // The one whose texts may be large, "" where none is.
  bool order_is_text;
  absl::Span<const KeptColumn> columns;
};
const KeptTableShape& ShapeOf(KeptTable table);

// A row under the hands of KeptRowReader, whatever its store is.
class KeptRowSource {
 public:
  virtual ~KeptRowSource() = default;
  virtual bool IsNull(int column) const = 0;
  virtual std::string_view View(int column) const = 0;
  virtual int64_t Int(int column) const = 0;
  virtual std::optional<double> Real(int column) const = 0;
  virtual absl::Time Time(int column) const = 0;
};

// The SELECT up to its FROM. `lines`: the function of the store that joins texts.
std::string KeptSelect(const KeptTableShape& shape, const KeptQuery& query, std::string_view lines);
// Adds the row to the page where it matches, and sets where the next page begins. The size of its
// texts.
size_t AddKeptRow(const KeptTableShape& shape, const KeptQuery& query, const KeptRowSource& row,
                  KeptPage* page);

// True when a text of the JSON document, at any depth, is that plate, or a number in a member that
// holds plates. Texts of members that hold ids or names are none.
bool JsonNamesPlate(std::string_view json, std::string_view plate_key);

}  // namespace viaduct
