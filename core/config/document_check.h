// All checks of one document, in order. Internal to the room.
#pragma once

#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "core/config/document.h"
#include "core/config/schema.h"
#include "core/config/validate.h"

namespace viaduct {

// Lives for one Validate.
class DocumentCheck {
 public:
  // Gives the compiled schema of a plugin, or why there is none.
  using SchemaOf =
      std::function<absl::StatusOr<std::shared_ptr<const Schema>>(std::string_view plugin)>;

  DocumentCheck(const Schema& node_schema, SchemaOf schema_of, SchemaProvider* provider,
                const ConfigEnvironment& environment)
      : node_schema_(node_schema),
        schema_of_(std::move(schema_of)),
        provider_(provider),
        environment_(environment) {}

  ConfigReport Run(std::string_view text, std::string_view filename, const AskFn& ask);

 private:
  void CheckInstances();
  void CheckInstance(ConfigNode* item, const std::string& pointer);
  void CheckPlugin(ConfigNode* config, const std::string& pointer, const ConfigNode& item,
                   InstanceOptions* instance);
  void NoPlugin(const ConfigNode& plugin, const std::string& pointer, const absl::Status& why,
                InstanceOptions* instance);
  void CheckNames();
  void CheckTimezone();
  void CheckLogLevels();
  void CheckRetry();
  void CheckBrokers();
  void CheckAlerts();
  void CheckFeeds();
  // Complains where no instance has that name.
  void CheckInstanceName(uint32_t line, uint32_t column, const std::string& name,
                         const std::string& pointer);
  NodeConfig Build();
  // Says where the value stands that somebody objects to.
  void AddObjection(const Objection& objection);
  // Null where there is no such instance.
  const ConfigNode* ConfigOf(const std::string& instance, std::string* pointer);

  const Schema& node_schema_;
  const SchemaOf schema_of_;
  SchemaProvider* const provider_;
  const ConfigEnvironment& environment_;
  ConfigNode root_;
  Findings findings_;
  bool store_given_ = false;
  nlohmann::json document_;
  std::vector<InstanceOptions> instances_;
};

}  // namespace viaduct
