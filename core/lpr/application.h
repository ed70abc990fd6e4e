// The licence-plate application: the routes of docs/API.md over the sinks and the store, free of
// any protocol.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/time/time.h"
#include "core/base/clock.h"
#include "core/lpr/publisher.h"
#include "core/lpr/sender.h"
#include "core/lpr/signing_in.h"
#include "core/lpr/sink.h"
#include "core/message/envelope.h"
#include "core/message/exchange.h"
#include "core/observe/log.h"
#include "core/receive/receiver.h"
#include "core/security/audit_chain.h"
#include "core/security/permissions.h"
#include "core/store/image_folder.h"
#include "core/store/store.h"

namespace viaduct {

class DashboardFiles;
class NodeDesk;

struct ApplicationOptions {
  std::string node_id;
  std::string version = "0.1.0";
  absl::TimeZone zone = absl::UTCTimeZone();  // Meaning of naive timestamps.
  size_t max_body_bytes = 32u << 20;          // Larger ones are answered 413.
  // The sink passes messages on: what the next node would refuse is refused here, while the sender
  // is there to be told. False where the store, which reads everything, is the only sink.
  bool forwards = true;
  // Calls come with the principal that a Gatekeeper has found: what docs/SECURITY.md's table does
  // not allow it is refused. False: everybody may do everything.
  bool guarded = false;
  std::string unguarded = "none";            // What GET /api/whoami calls it: "none" or "local".
  std::vector<std::string> mask_plates_for;  // Roles that see plates masked and no pictures.
  size_t max_query_bytes = 4096;             // A longer query string is answered 414.
  int max_batch = 10'000;                    // Envelopes in one array.
  absl::Duration retry_after = absl::Seconds(2);  // In Retry-After of 503 and 507.
  size_t max_inline_image_bytes = 8u << 20;       // Of all images in one reply of images=inline.
  // Threads that read the store and the images, so that a slow query keeps no listener waiting;
  // with two that write images they are as many as SQLite has readers. PostgreSQL keeps two
  // connections for those.
  int read_threads = 4;
  size_t max_queued_reads = 256;  // That wait for such a thread; more are answered 503.
};

// What GET /api/health answers; the host fills it from its HealthTree.
struct HealthReport {
  struct Component {
    std::string name;
    std::string status;  // "healthy", "degraded", "unhealthy"
    std::string message;
  };
  std::string status;  // Of the node as a whole.
  std::vector<Component> components;
};

// What another node of the same database has stored, as this node would have taken it in: without
// its images, which are in files.
struct ElsewhereMessage {
  Envelope envelope;
  std::string id;  // detection_id or health_id.
  std::vector<PlateAlert> alerts;
};
ElsewhereMessage MessageOf(const StoredElsewhere& stored);

// Everything is borrowed and must outlive the application.
struct ApplicationParts {
  const Clock* clock = nullptr;    // Required.
  Log* log = nullptr;              // Required.
  Sink* sink = nullptr;            // Required.
  Store* store = nullptr;          // Null on a node that has none: reading is answered 501.
  ImageFolder* images = nullptr;   // Null: no images are served.
  Publisher* publisher = nullptr;  // Null: nobody is told.
  const DashboardFiles* dashboard = nullptr;  // Null: there are no pages.
  SigningIn signing_in;                       // Empty where nobody is asked.
  NodeDesk* desk = nullptr;                   // Null: the node shows nothing of itself.
  // Makes what is encrypted readable, as Sealing::Open. Null: it stays as it is.
  std::function<absl::Status(Arrival*)> open;
  CallHandler* control = nullptr;  // Commands to this node; null: it knows only how it is.
  std::function<std::string()> metrics_text;   // Prometheus text of GET /metrics.
  std::function<HealthReport()> health;        // GET /api/health.
  std::function<ReceiverInfo()> incoming;      // Files that came; null: this node takes none in.
  std::function<int64_t()> connected_clients;  // In the statistics; null: the open sessions.
  // Whether a road leads to a device, whose end will be told. Null: none does.
  std::function<bool(std::string_view device_id)> reachable;
  // Calls that change what is stored or how the node is, before they are answered: calls `then`
  // when that is written down. Null: nobody writes.
  std::function<void(security::AuditRecord, std::function<void()> then)> audit;
  // A device was found silent, at this node or another, or was heard again. Must return at once.
  std::function<void(const std::string& device_id)> renew;
};

// Thread-safe. Handle is called by every listener with CallRequest::method and ::path in HTTP's
// vocabulary, or, for sessions that stay open, in that of docs/WIRE.md "Sessions"; whoever has
// envelopes uses IngestEnvelopes. It never waits for the disk:
// replies to what is stored come after it is durable, those to reading from threads of its own.
class Application final : public CallHandler {
 public:
  Application(ApplicationOptions options, ApplicationParts parts);
  // Everything handed to the sink must have been answered.
  ~Application() override;

  void Handle(CallRequest request, ReplyFn reply) override;

  // The same ingest for whoever has envelopes already (gRPC, viaduct.submit/1): valid or not, each
  // is checked.
  void IngestEnvelopes(std::vector<Envelope> batch, const Sender& sender, Sink::AcceptFn done);

  // Tells this node's subscribers of a message that another node of the same database has stored.
  void PublishElsewhere(const ElsewhereMessage& message);
  // Looks once for devices that have fallen silent without a session or road whose end would tell,
  // and tells each node's subscribers once of each. May wait for the store; one call at a time.
  void FindSilent();
  // Tells them which cameras came to another node, are at no other any longer, or were found silent
  // there.
  void NoteElsewhere(const std::vector<CameraPresence>& changes);
  // True while a session is in that room: what Publisher::Wanted asks.
  bool HasRoom(std::string_view room) const;
  bool HasAnyRoom() const;
  // Images were removed: what was made of any is made anew.
  void ForgetThumbnails();
  void OnListenerGone(std::string_view instance) override;

 private:
  struct Impl;
  const std::unique_ptr<Impl> impl_;
};

// The document of GET /api/openapi.json.
std::string_view OpenApiDocument();

}  // namespace viaduct
