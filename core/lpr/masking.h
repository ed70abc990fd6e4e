// Plates as somebody sees them who may not know them: text is masked, images are withheld.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/security/principal.h"

namespace viaduct {

// Of the letters and digits of a plate the first stays, the others become '*': "1AB 2345" is
// "1** ****".
std::string MaskPlate(std::string_view plate);

// Thread-safe: it does not change.
class PlateMask {
 public:
  // Roles that see plates masked, as privacy.mask_plates_for names them.
  explicit PlateMask(std::vector<std::string> roles) : roles_(std::move(roles)) {}

  // Null: nobody has been authenticated, and nothing is masked.
  bool AppliesTo(const security::Principal* principal) const;

  // A reply or event: any JSON document. Masked are the texts and numbers below members that hold
  // plates (license_plate, plate, plate_number, text, original_plate, ocr_results, plates,
  // candidates, ...), and every other text in which one of these plates stands. Members that hold
  // images or their paths become null, lists of them empty, and so does what is too long for a
  // text; the images themselves are refused by who serves them, since a whole picture shows the
  // plate, too. What cannot be looked through, also what is no JSON, is not shown: a document that
  // says so stands in its place.
  static std::string MaskJson(std::string_view json);

 private:
  const std::vector<std::string> roles_;
};

// Of those in a room who see plates masked.
std::string MaskedRoom(std::string_view room);

}  // namespace viaduct
