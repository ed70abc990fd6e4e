#include "core/config/document_check.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "core/config/json_view.h"
#include "core/config/node_config_reader.h"
#include "core/config/open_listeners.h"
#include "core/config/redact.h"
#include "core/config/references.h"
#include "core/config/schema_value.h"
#include "core/config/short_form.h"
#include "core/config/suggest.h"
#include "core/config/units.h"
#include "core/observe/alerts.h"

namespace viaduct {
namespace {

using nlohmann::json;

constexpr std::string_view kInstancePrefix = "instance/";

// The scalar's text where it is a usable one, else "".
std::string TextOf(const ConfigNode* node) {
  return node != nullptr && node->is_scalar() && !node->broken ? node->text : "";
}

// The child that one step of a JSON pointer leads to; null where there is none.
const ConfigNode* StepInto(const ConfigNode& node, const std::string& step) {
  if (node.is_map()) return node.Find(absl::StrReplaceAll(step, {{"~1", "/"}, {"~0", "~"}}));
  uint32_t index = 0;
  if (!node.is_list() || !absl::SimpleAtoi(step, &index)) return nullptr;
  return index < node.items.size() ? &node.items[index] : nullptr;
}

}  // namespace

ConfigReport DocumentCheck::Run(std::string_view text, std::string_view filename,
                                const AskFn& ask) {
  ConfigReport report;
  if (!ParseDocument(text, &root_, &findings_)) {
    report.findings = std::move(findings_).Finish(filename);
    return report;
  }
  const ConfigNode as_written = root_;
  MarkSecretsByName(&root_);
  ResolveReferences(&root_, environment_, &findings_);
  if (root_.is_map()) {
    store_given_ = root_.Find("store") != nullptr;
    ExpandShortForm(&root_, &findings_);
    root_.Member("store");  // Its defaults are needed in any case.
    if (root_.Find("store")->is_null()) root_.Find("store")->kind = ConfigNode::Kind::kMap;
  }
  document_ = CheckAgainstSchema(node_schema_.root(), &root_, "", &findings_);
  CheckNames();
  CheckTimezone();
  CheckLogLevels();
  CheckRetry();
  CheckAlerts();
  CheckFeeds();
  CheckInstances();
  CheckListeners(root_, &findings_);
  CheckBrokers();
  report.redacted_yaml = RedactYaml(text, as_written, root_);
  if (findings_.errors() == 0) report.config = Build();
  if (report.ok() && ask) {
    for (const Objection& objection : ask(*report.config)) AddObjection(objection);
    if (findings_.errors() != 0) report.config.reset();
  }
  report.findings = std::move(findings_).Finish(filename);
  return report;
}

void DocumentCheck::CheckInstances() {
  // Secrets outside of instances first; each instance reports its own under its name.
  ConfigNode* list = root_.Find("instances");
  ConfigNode instances;
  if (list != nullptr) std::swap(instances, *list);
  FindPlainSecrets(root_, "", &findings_);
  if (list != nullptr) std::swap(instances, *list);
  if (list == nullptr || !list->is_list()) return;
  for (size_t i = 0; i < list->items.size(); ++i) {
    CheckInstance(&list->items[i], ChildPointer("/instances", absl::StrCat(i), list->items[i]));
  }
}

void DocumentCheck::CheckInstance(ConfigNode* item, const std::string& pointer) {
  if (!item->is_map()) return;
  InstanceOptions instance;
  instance.name = TextOf(item->Find("name"));
  instance.plugin = TextOf(item->Find("plugin"));
  instance.start =
      TextOf(item->Find("start")) == "manual" ? InstanceStart::kManual : InstanceStart::kAuto;
  instance.on_start_failure =
      TextOf(item->Find("on_start_failure")) == "fail" ? StartFailure::kFail : StartFailure::kRetry;
  if (const ConfigNode* link = item->Find("link"); link != nullptr && link->is_map()) {
    // The schema has checked both.
    (void)absl::SimpleAtob(TextOf(link->Find("metered")), &instance.link_metered);
    (void)absl::SimpleAtod(TextOf(link->Find("cost_per_mb")), &instance.link_cost_per_mb);
  }
  ConfigNode& config = item->Member("config");
  if (config.is_null()) config.kind = ConfigNode::Kind::kMap;
  const std::string config_pointer = ChildPointer(pointer, "config", config);
  Findings outer = std::exchange(findings_, Findings());
  if (config.is_map()) CheckPlugin(&config, config_pointer, *item, &instance);
  FindPlainSecrets(config, config_pointer, &findings_);
  findings_.SetInstance(instance.name);
  outer.Append(std::move(findings_));
  findings_ = std::move(outer);
  instances_.push_back(std::move(instance));
}

void DocumentCheck::CheckPlugin(ConfigNode* config, const std::string& pointer,
                                const ConfigNode& item, InstanceOptions* instance) {
  json value;
  if (!instance->plugin.empty()) {
    absl::StatusOr<std::shared_ptr<const Schema>> schema = schema_of_(instance->plugin);
    const size_t errors = findings_.errors();
    if (schema.ok()) {
      Findings found;
      value = CheckAgainstSchema((*schema)->root(), config, pointer, &found);
      if (found.Has("schema_too_costly")) {
        schema = absl::FailedPreconditionError("its schema takes too many steps to check");
      } else {
        findings_.Append(std::move(found));
      }
    }
    if (!schema.ok()) {
      const ConfigNode& plugin = *item.Find("plugin");
      NoPlugin(plugin, pointer, schema.status(), instance);
    } else if (findings_.errors() != errors) {
      return;
    }
  }
  if (!instance->unavailable_reason.empty() || instance->plugin.empty()) {
    value = PlainJson(*config);
  }
  if (value.is_null()) value = json::object();
  instance->redacted_json = RedactJson(*config, value);
  instance->config = MakeConfigView(std::move(value));
}

void DocumentCheck::NoPlugin(const ConfigNode& plugin, const std::string& pointer,
                             const absl::Status& why, InstanceOptions* instance) {
  const bool missing = absl::IsNotFound(why);
  std::string hint;
  if (missing && provider_ != nullptr) {
    const std::string nearest = Suggest(instance->plugin, provider_->InstalledPlugins());
    if (!nearest.empty()) hint = absl::StrCat(", did you mean \"", nearest, "\"?");
  }
  instance->unavailable_reason =
      missing ? absl::StrCat("plugin \"", instance->plugin, "\" is not installed", hint)
              : absl::StrCat("plugin \"", instance->plugin, "\" cannot be used, ",
                             std::string(why.message()));
  const std::string parent = pointer.substr(0, pointer.rfind('/'));
  findings_.Warning(
      plugin.line, plugin.column, ChildPointer(parent, "plugin", plugin),
      missing ? "plugin_not_installed" : "plugin_unusable",
      absl::StrCat(instance->unavailable_reason, "; the instance will be shown as failed"));
}

void DocumentCheck::CheckNames() {
  const ConfigNode* list = root_.Find("instances");
  if (list == nullptr) return;
  std::map<std::string, uint32_t> lines;
  for (size_t i = 0; i < list->items.size(); ++i) {
    const ConfigNode& item = list->items[i];
    const ConfigNode* name = item.Find("name");
    if (TextOf(name).empty()) continue;
    const auto [first, fresh] = lines.emplace(name->text, name->line);
    if (fresh) continue;
    const std::string parent = ChildPointer("/instances", absl::StrCat(i), item);
    findings_.Error(*name, ChildPointer(parent, "name", *name), "duplicate_name",
                    absl::StrCat("two instances are named ", ShowText(name->text),
                                 ", the first in line ", first->second));
  }
}

void DocumentCheck::CheckTimezone() {
  const ConfigNode* node = root_.Find("node");
  const ConfigNode* zone = node == nullptr ? nullptr : node->Find("timezone");
  absl::TimeZone loaded;
  if (zone == nullptr || TextOf(zone).empty()) return;
  if (absl::LoadTimeZone(zone->text, &loaded)) return;
  findings_.Error(*zone, "/node/timezone", "bad_value",
                  absl::StrCat("timezone: no such zone on this machine, ", Show(*zone)));
}

void DocumentCheck::CheckLogLevels() {
  const ConfigNode* log = root_.Find("log");
  const ConfigNode* levels = log == nullptr ? nullptr : log->Find("levels");
  if (levels == nullptr) return;
  for (const ConfigMember& member : levels->members) {
    if (member.key.compare(0, kInstancePrefix.size(), kInstancePrefix) != 0) continue;
    CheckInstanceName(member.line, member.column, member.key.substr(kInstancePrefix.size()),
                      absl::StrCat("/log/levels/", EscapePointer(member.key)));
  }
}

void DocumentCheck::CheckInstanceName(uint32_t line, uint32_t column, const std::string& name,
                                      const std::string& pointer) {
  std::vector<std::string> names;
  if (const ConfigNode* list = root_.Find("instances")) {
    for (const ConfigNode& item : list->items) names.push_back(TextOf(item.Find("name")));
  }
  if (std::find(names.begin(), names.end(), name) != names.end()) return;
  const std::string nearest = Suggest(name, names);
  findings_.Error(
      line, column, pointer, "unknown_reference",
      absl::StrCat("there is no instance ", ShowText(name),
                   nearest.empty() ? "" : absl::StrCat(", did you mean \"", nearest, "\"?")));
}

void DocumentCheck::CheckFeeds() {
  const ConfigNode* vision = root_.Find("vision");
  const ConfigNode* feeds = vision == nullptr ? nullptr : vision->Find("feeds");
  if (feeds == nullptr) return;
  std::map<std::string, uint32_t> lines;
  for (size_t i = 0; i < feeds->items.size(); ++i) {
    const ConfigNode& feed = feeds->items[i];
    const std::string parent = ChildPointer("/vision/feeds", absl::StrCat(i), feed);
    const ConfigNode* source = feed.Find("source");
    if (const std::string name = TextOf(source); !name.empty()) {
      CheckInstanceName(source->line, source->column, name, absl::StrCat(parent, "/source"));
      const auto [first, fresh] = lines.emplace(name, source->line);
      if (!fresh) {
        findings_.Error(*source, absl::StrCat(parent, "/source"), "duplicate_name",
                        absl::StrCat("two feeds have the source ", ShowText(name),
                                     ", the first in line ", first->second));
      }
    }
    const ConfigNode* infer = feed.Find("infer");
    for (size_t k = 0; infer != nullptr && k < infer->items.size(); ++k) {
      const ConfigNode& item = infer->items[k];
      const std::string name = TextOf(&item);
      if (name.empty()) continue;
      CheckInstanceName(item.line, item.column, name, absl::StrCat(parent, "/infer/", k));
    }
  }
}

void DocumentCheck::CheckBrokers() {
  const ConfigNode* auth = root_.Find("auth");
  const ConfigNode* brokers = auth == nullptr ? nullptr : auth->Find("brokers");
  for (size_t i = 0; brokers != nullptr && i < brokers->items.size(); ++i) {
    const ConfigNode* instance = brokers->items[i].Find("instance");
    if (TextOf(instance).empty()) continue;
    CheckInstanceName(instance->line, instance->column, instance->text,
                      absl::StrCat("/auth/brokers/", i, "/instance"));
  }
}

void DocumentCheck::CheckRetry() {
  const ConfigNode* gateway = root_.Find("gateway");
  const ConfigNode* retry = gateway == nullptr ? nullptr : gateway->Find("retry");
  if (retry == nullptr || !document_.is_object()) return;
  const json value = document_.value(json::json_pointer("/gateway/retry"), json::object());
  const auto time = [&](const char* key) {
    const json text = value.value(key, json());
    return text.is_string() ? ParseDuration(text.get_ref<const std::string&>())
                            : absl::StatusOr<absl::Duration>(absl::NotFoundError(""));
  };
  const auto initial = time("initial_delay");
  const auto max = time("max_delay");
  if (!initial.ok() || !max.ok() || *initial <= *max) return;
  const ConfigNode* at = retry->Find("max_delay");
  findings_.Error(at == nullptr ? *retry : *at, "/gateway/retry/max_delay", "out_of_range",
                  absl::StrCat("max_delay: must not be less than initial_delay, ",
                               absl::FormatDuration(*max), " < ", absl::FormatDuration(*initial)));
}

// The condition must be over somewhere before it begins to hold.
void DocumentCheck::CheckAlerts() {
  const ConfigNode* alerts = root_.Find("alerts");
  if (alerts == nullptr || !alerts->is_map() || !document_.is_object()) return;
  for (const ConfigMember& member : alerts->members) {
    const std::string pointer = absl::StrCat("/alerts/", EscapePointer(member.key));
    const json rule = document_.value(json::json_pointer(pointer), json::object());
    if (!rule.is_object() || !rule.contains("raise") || !rule.contains("clear")) continue;
    const auto number = [&](const char* key) {
      const json& value = rule[key];
      if (value.is_number()) return value.get<double>();
      const auto time = ParseDuration(value.is_string() ? value.get<std::string>() : "");
      return time.ok() ? absl::ToDoubleSeconds(*time) : std::nan("");
    };
    const bool low = member.key == AlertKindName(AlertKind::kDiskFree);
    const double over = low ? number("clear") - number("raise") : number("raise") - number("clear");
    if (std::isnan(over) || over > 0) continue;
    const ConfigNode* at = member.value.Find("clear");
    findings_.Error(at == nullptr ? member.value : *at, pointer + "/clear", "out_of_range",
                    absl::StrCat("clear: must be ", low ? "more" : "less", " than raise, ",
                                 rule["clear"].dump(), " and ", rule["raise"].dump()));
  }
}

void DocumentCheck::AddObjection(const Objection& objection) {
  std::string pointer;
  const ConfigNode* at =
      objection.instance.empty() ? &root_ : ConfigOf(objection.instance, &pointer);
  if (at == nullptr) at = &root_;
  // A value that the document leaves out stands where its nearest parent does.
  const std::vector<std::string> steps = absl::StrSplit(objection.pointer, '/');
  for (size_t step = 1; step < steps.size(); ++step) {
    const ConfigNode* next = StepInto(*at, steps[step]);
    if (next == nullptr) break;
    at = next;
  }
  Findings found;
  found.Error(*at, pointer + objection.pointer, objection.code, objection.text);
  found.SetInstance(objection.instance);
  findings_.Append(std::move(found));
}

const ConfigNode* DocumentCheck::ConfigOf(const std::string& instance, std::string* pointer) {
  const ConfigNode* list = root_.Find("instances");
  for (size_t i = 0; list != nullptr && i < list->items.size(); ++i) {
    const ConfigNode& item = list->items[i];
    const ConfigNode* config = item.Find("config");
    if (config == nullptr || TextOf(item.Find("name")) != instance) continue;
    *pointer = ChildPointer(ChildPointer("/instances", absl::StrCat(i), item), "config", *config);
    return config;
  }
  return nullptr;
}

NodeConfig DocumentCheck::Build() {
  NodeConfig config = ReadNodeConfig(document_, store_given_, environment_);
  config.instances = std::move(instances_);
  return config;
}

}  // namespace viaduct
