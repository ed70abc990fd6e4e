// The rows of the table. A row is added together with what it names: permissions_test.cc fails
// otherwise.
#include <iterator>

#include "core/security/permissions.h"

namespace viaduct::security {
namespace {

constexpr Surface kHttp = Surface::kHttp;
constexpr Surface kEvent = Surface::kEvent;
constexpr Surface kRoom = Surface::kRoom;
constexpr Surface kTopic = Surface::kTopic;
constexpr Surface kCommand = Surface::kCommand;
constexpr Surface kRpc = Surface::kRpc;
constexpr Least kAnybody = Least::kAnybody;
constexpr Least kViewer = Least::kViewer;
constexpr Least kOperator = Least::kOperator;
constexpr Least kAdmin = Least::kAdmin;
constexpr ForDevice kNever = ForDevice::kNever;
constexpr ForDevice kItsOwn = ForDevice::kItsOwn;
constexpr ForDevice kAny = ForDevice::kAny;
constexpr Scope kIngest = Scope::kIngest;
constexpr Scope kRead = Scope::kRead;
constexpr Scope kFiles = Scope::kFiles;
constexpr Scope kEdit = Scope::kEdit;
constexpr Scope kControl = Scope::kControl;
constexpr Scope kManage = Scope::kManage;

constexpr Permission kRows[] = {
    {kHttp, "GET /", kAnybody, kAny, kRead},
    {kHttp, "GET /dashboard/{path...}", kAnybody, kAny,
     kRead},  // What is shown is asked for apart.
    {kHttp, "POST /api/login", kAnybody, kAny, kRead},
    {kHttp, "POST /api/logout", kAnybody, kAny, kRead},
    {kHttp, "GET /api/whoami", kAnybody, kAny, kRead},
    {kHttp, "GET /websocket", kAnybody, kAny, kRead},
    {kHttp, "GET /api/test", kAnybody, kAny, kRead},
    {kHttp, "GET /api/openapi.json", kAnybody, kAny, kRead},
    {kHttp, "POST /api/cameras/register", kOperator, kItsOwn, kIngest},
    {kHttp, "POST /api/detection", kOperator, kItsOwn, kIngest},
    {kHttp, "POST /api/health", kOperator, kItsOwn, kIngest},
    {kHttp, "POST /api/statistics", kOperator, kItsOwn, kIngest},
    {kHttp, "POST /api/lpr/data", kOperator, kItsOwn, kIngest},  // Each envelope by itself.
    {kHttp, "GET /api/health", kViewer, kNever, kRead},
    {kHttp, "GET /api/statistics", kViewer, kNever, kRead},
    {kHttp, "GET /api/statistics/series", kViewer, kNever, kRead},
    {kHttp, "GET /api/records/{detection_id}", kViewer, kItsOwn, kRead},
    {kHttp, "GET /api/records", kViewer, kItsOwn, kRead},  // With the filter camera_id.
    {kHttp, "GET /api/cameras", kViewer, kNever, kRead},
    {kHttp, "PUT /api/cameras/{camera_id}", kOperator, kNever, kEdit},
    {kHttp, "GET /api/cameras/{camera_id}/health", kViewer, kItsOwn, kRead},
    {kHttp, "GET /api/lpr/events", kViewer, kItsOwn, kRead},  // With the filter device.
    {kHttp, "POST /api/lpr/events", kOperator, kItsOwn, kIngest},
    {kHttp, "GET /api/lpr/events/{event_id}", kViewer, kItsOwn, kRead},
    {kHttp, "PUT /api/lpr/events/{event_id}", kOperator, kNever, kEdit},
    // What is deleted is gone as evidence.
    {kHttp, "DELETE /api/lpr/events/{event_id}", kAdmin, kNever, kEdit},
    {kHttp, "GET /api/devices", kViewer, kNever, kRead},
    {kHttp, "POST /api/devices", kOperator, kNever, kEdit},
    {kHttp, "GET /api/devices/{device_id}", kViewer, kItsOwn, kRead},
    {kHttp, "PUT /api/devices/{device_id}", kOperator, kNever, kEdit},
    {kHttp, "GET /api/blacklist", kViewer, kNever, kRead},
    {kHttp, "POST /api/blacklist", kOperator, kNever, kEdit},
    {kHttp, "DELETE /api/blacklist/{license_plate}", kOperator, kNever, kEdit},
    {kHttp, "GET /api/communication/stats", kViewer, kNever, kRead},
    {kHttp, "GET /api/communication/logs", kOperator, kNever, kRead},  // Shows addresses.
    {kHttp, "GET /api/file_transfers", kViewer, kItsOwn, kRead},
    {kHttp, "GET /api/file_transfers/unannounced", kViewer, kNever, kRead},
    {kHttp, "GET /api/communication/links", kViewer, kNever, kRead},
    {kHttp, "GET /api/communication/nodes", kViewer, kNever, kRead},
    {kHttp, "GET /api/transfers", kViewer, kNever, kFiles},
    {kHttp, "GET /api/alerts", kViewer, kNever, kRead},
    {kHttp, "POST /api/alerts/{alert_id}/acknowledge", kOperator, kNever, kControl},
    {kHttp, "GET /api/config", kOperator, kNever, kRead},
    {kHttp, "POST /api/config/plan", kOperator, kNever, kRead},
    {kHttp, "POST /api/config/apply", kAdmin, kNever, kManage},
    {kHttp, "POST /api/config/confirm", kAdmin, kNever, kManage},
    {kHttp, "POST /api/config/rollback", kAdmin, kNever, kManage},
    {kHttp, "GET /metrics", kViewer, kNever, kRead},
    {kHttp, "GET /images/{path...}", kViewer, kItsOwn, kRead},
    {kHttp, "GET /api/images/{path...}", kViewer, kItsOwn, kRead},

    {kEvent, "camera_register", kOperator, kItsOwn, kIngest},
    {kEvent, "lpr_data", kOperator, kItsOwn, kIngest},
    {kEvent, "health_status", kOperator, kItsOwn, kIngest},
    {kEvent, "ping", kViewer, kAny, kRead},
    {kEvent, "join_dashboard", kViewer, kNever, kRead},
    {kEvent, "join_health_room", kViewer, kNever, kRead},
    {kEvent, "message", kOperator, kItsOwn, kIngest},
    {kEvent, "image", kOperator, kItsOwn, kIngest},
    {kEvent, "envelope", kOperator, kItsOwn, kIngest},
    // From then on the session is given the device's orders.
    {kEvent, "node_register", kAdmin, kItsOwn, kControl},
    {kEvent, "control_response", kAdmin, kItsOwn, kControl},
    {kEvent, "(plain message)", kOperator, kItsOwn, kIngest},

    {kRoom, "dashboard", kViewer, kNever, kRead},
    {kRoom, "health_monitoring", kViewer, kNever, kRead},
    {kRoom, "camera_<camera_id>_<checkpoint_id>", kViewer, kItsOwn, kRead},

    {kTopic, "publish lpr/data", kOperator, kItsOwn, kIngest},
    {kTopic, "publish lpr/data/edge/{device_id}", kOperator, kItsOwn, kIngest},
    {kTopic, "subscribe lpr/data/processed", kViewer, kNever, kRead},
    {kTopic, "subscribe lpr/data/error", kViewer, kNever, kRead},
    {kTopic, "subscribe lpr/ack/{device_id}", kViewer, kItsOwn, kIngest},
    {kTopic, "subscribe system/control/{device_id}", kAdmin, kItsOwn, kControl},
    {kTopic, "publish system/control/{device_id}", kOperator, kNever, kControl},
    {kTopic, "publish system/control/{device_id}/response", kAdmin, kItsOwn, kControl},
    {kTopic, "publish system/status/{device_id}", kOperator, kItsOwn, kIngest},
    {kTopic, "subscribe system/status/{device_id}", kViewer, kItsOwn, kRead},
    {kTopic, "publish file/transfer/request", kOperator, kItsOwn, kFiles},
    {kTopic, "publish file/transfer/status", kOperator, kItsOwn, kFiles},
    {kTopic, "subscribe file/transfer/status", kViewer, kAny, kFiles},  // One topic for all.
    {kTopic, "publish lprserver/cameras/{id}/detection", kOperator, kItsOwn, kIngest},
    {kTopic, "subscribe lprserver/cameras/{id}/detection/ack", kViewer, kItsOwn, kIngest},
    {kTopic, "publish lprserver/cameras/{id}/health", kOperator, kItsOwn, kIngest},
    {kTopic, "publish lprserver/cameras/{id}/config", kOperator, kItsOwn, kIngest},
    {kTopic, "subscribe lprserver/cameras/{id}/config", kViewer, kItsOwn, kRead},
    {kTopic, "publish lprserver/cameras/{id}/control", kOperator, kNever, kControl},
    {kTopic, "subscribe lprserver/cameras/{id}/control", kAdmin, kItsOwn, kControl},
    {kTopic, "publish lprserver/cameras/{id}/control/response", kAdmin, kItsOwn, kControl},
    {kTopic, "publish camera/{id}/status", kOperator, kItsOwn, kIngest},
    {kTopic, "publish camera/{id}/health", kOperator, kItsOwn, kIngest},
    {kTopic, "publish camera/{id}/detections", kOperator, kItsOwn, kIngest},
    {kTopic, "publish aicamera/device/{id}/health", kOperator, kItsOwn, kIngest},
    {kTopic, "publish aicamera/edge/device/{id}/health", kOperator, kItsOwn, kIngest},

    {kCommand, "get_status", kOperator, kNever, kControl},
    {kCommand, "get_health", kOperator, kNever, kControl},
    {kCommand, "test_connection", kOperator, kNever, kControl},
    {kCommand, "restart_instance", kOperator, kNever, kControl},
    {kCommand, "update_config", kAdmin, kNever, kManage},
    {kCommand, "confirm_config", kAdmin, kNever, kManage},
    {kCommand, "file_transfer_status", kOperator, kNever, kFiles},

    {kRpc, "grpc.health.v1.Health/Check", kAnybody, kAny, kRead},
    {kRpc, "grpc.health.v1.Health/Watch", kAnybody, kAny, kRead},
    {kRpc, "grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", kViewer, kNever, kRead},
    {kRpc, "grpc.channelz.v1.Channelz/*", kOperator, kNever, kRead},  // Shows addresses.
    {kRpc, "viaduct.control.v1.Node/GetInfo", kViewer, kNever, kRead},
    {kRpc, "viaduct.control.v1.Node/Drain", kOperator, kNever, kControl},
    {kRpc, "viaduct.control.v1.Node/Watch", kViewer, kNever, kRead},
    {kRpc, "viaduct.control.v1.Plugins/List", kViewer, kNever, kRead},
    {kRpc, "viaduct.control.v1.Plugins/Describe", kViewer, kNever, kRead},
    {kRpc, "viaduct.control.v1.Plugins/Load", kAdmin, kNever, kManage},
    {kRpc, "viaduct.control.v1.Plugins/Reload", kAdmin, kNever, kManage},
    {kRpc, "viaduct.control.v1.Plugins/Unload", kAdmin, kNever, kManage},
    {kRpc, "viaduct.control.v1.Instances/List", kViewer, kNever, kRead},
    {kRpc, "viaduct.control.v1.Instances/Get", kViewer, kNever, kRead},
    {kRpc, "viaduct.control.v1.Instances/Start", kOperator, kNever, kControl},
    {kRpc, "viaduct.control.v1.Instances/Stop", kOperator, kNever, kControl},
    {kRpc, "viaduct.control.v1.Instances/Drain", kOperator, kNever, kControl},
    {kRpc, "viaduct.control.v1.Instances/Restart", kOperator, kNever, kControl},
    {kRpc, "viaduct.control.v1.Instances/Watch", kViewer, kNever, kRead},
    {kRpc, "viaduct.control.v1.Config/Get", kOperator, kNever, kRead},
    {kRpc, "viaduct.control.v1.Config/GetSchema", kViewer, kNever, kRead},
    {kRpc, "viaduct.control.v1.Config/Validate", kOperator, kNever, kRead},
    {kRpc, "viaduct.control.v1.Config/Plan", kOperator, kNever, kRead},
    {kRpc, "viaduct.control.v1.Config/Apply", kAdmin, kNever, kManage},
    {kRpc, "viaduct.control.v1.Config/Confirm", kAdmin, kNever, kManage},
    {kRpc, "viaduct.control.v1.Config/Cancel", kAdmin, kNever, kManage},
    {kRpc, "viaduct.control.v1.Config/Rollback", kAdmin, kNever, kManage},
    {kRpc, "viaduct.control.v1.Config/ListRevisions", kOperator, kNever, kRead},
    {kRpc, "viaduct.control.v1.Config/Watch", kOperator, kNever, kRead},
    {kRpc, "viaduct.control.v1.Stats/Snapshot", kViewer, kNever, kRead},
    {kRpc, "viaduct.control.v1.Stats/Watch", kViewer, kNever, kRead},
    {kRpc, "viaduct.control.v1.Stats/Explain", kViewer, kNever, kRead},
    {kRpc, "viaduct.control.v1.Stats/ListAlerts", kViewer, kNever, kRead},
    {kRpc, "viaduct.control.v1.Stats/WatchAlerts", kViewer, kNever, kRead},
    {kRpc, "viaduct.control.v1.Spool/GetInfo", kViewer, kNever, kRead},
    {kRpc, "viaduct.control.v1.Spool/List", kOperator, kNever, kRead},  // Shows messages.
    {kRpc, "viaduct.control.v1.Spool/Retry", kOperator, kNever, kControl},
    {kRpc, "viaduct.control.v1.Spool/Drop", kAdmin, kNever, kEdit},  // A message is gone.
    {kRpc, "viaduct.control.v1.Backup/Create", kAdmin, kNever, kManage},
    {kRpc, "viaduct.control.v1.Backup/List", kOperator, kNever, kRead},
    {kRpc, "viaduct.control.v1.Backup/Prune", kAdmin, kNever, kManage},
    {kRpc, "viaduct.control.v1.Privacy/Export", kAdmin, kNever, kManage},
    {kRpc, "viaduct.control.v1.Privacy/Erase", kAdmin, kNever, kManage},
    {kRpc, "viaduct.control.v1.Privacy/Sweep", kAdmin, kNever, kManage},
    {kRpc, "viaduct.control.v1.Transfers/GetInfo", kViewer, kNever, kFiles},
    {kRpc, "viaduct.control.v1.Transfers/List", kViewer, kNever, kFiles},
    {kRpc, "viaduct.control.v1.Transfers/Get", kViewer, kNever, kFiles},
    {kRpc, "viaduct.control.v1.Transfers/Watch", kViewer, kNever, kFiles},
    {kRpc, "viaduct.control.v1.Transfers/Cancel", kOperator, kNever, kFiles},
    {kRpc, "viaduct.control.v1.Transfers/Retry", kOperator, kNever, kFiles},
    {kRpc, "viaduct.control.v1.Logs/Tail", kOperator, kNever, kRead},
    {kRpc, "viaduct.control.v1.Logs/GetLevels", kViewer, kNever, kRead},
    {kRpc, "viaduct.control.v1.Logs/SetLevel", kAdmin, kNever, kManage},
    {kRpc, "viaduct.control.v1.Logs/ResetLevel", kAdmin, kNever, kManage},
    {kRpc, "viaduct.control.v1.Fleet/ListNodes", kViewer, kNever, kRead},
    {kRpc, "viaduct.control.v1.Fleet/SendControl", kOperator, kNever,
     kControl},  // And the command.
    {kRpc, "viaduct.control.v1.Fleet/WatchNodes", kViewer, kNever, kRead},
    {kRpc, "viaduct.control.v1.Fleet/ListFiles", kViewer, kNever, kRead},
    {kRpc, "viaduct.control.v1.Auth/WhoAmI", kViewer, kAny, kRead},
    {kRpc, "viaduct.control.v1.Auth/ListKeys", kAdmin, kNever, kRead},
    {kRpc, "viaduct.control.v1.Auth/CreateKey", kAdmin, kNever, kManage},
    {kRpc, "viaduct.control.v1.Auth/RotateKey", kAdmin, kNever, kManage},
    {kRpc, "viaduct.control.v1.Auth/RevokeKey", kAdmin, kNever, kManage},
    {kRpc, "viaduct.control.v1.Auth/ListUsers", kAdmin, kNever, kRead},
    {kRpc, "viaduct.control.v1.Auth/SetUser", kAdmin, kNever, kManage},
    {kRpc, "viaduct.control.v1.Auth/SetPassword", kAdmin, kNever, kManage},
    {kRpc, "viaduct.control.v1.Auth/RemoveUser", kAdmin, kNever, kManage},
    {kRpc, "viaduct.control.v1.Auth/ListAudit", kAdmin, kNever, kRead},
    {kRpc, "viaduct.control.v1.Auth/VerifyAudit", kAdmin, kNever, kRead},
    {kRpc, "viaduct.gateway.v1.Gateway/SendMetadata", kOperator, kItsOwn, kIngest},
    {kRpc, "viaduct.gateway.v1.Gateway/SendMetadataStream", kOperator, kItsOwn, kIngest},
    // The node reads the path that it is given: what a device may not reach by itself.
    {kRpc, "viaduct.gateway.v1.Gateway/SendFile", kAdmin, kNever, kFiles},
    {kRpc, "viaduct.gateway.v1.Gateway/SendFileStream", kOperator, kItsOwn, kFiles},
    {kRpc, "viaduct.gateway.v1.Gateway/Infer", kOperator, kNever, kIngest},
    {kRpc, "viaduct.gateway.v1.Gateway/Subscribe", kViewer, kNever, kRead},
};

}  // namespace

PermissionTable Permissions() { return {kRows, std::size(kRows)}; }

}  // namespace viaduct::security
