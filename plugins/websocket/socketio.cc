#include "plugins/websocket/socketio.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "plugins/websocket/session_id.h"

namespace viaduct::websocket {
namespace {

// The array of an event: its name and what follows.
std::string ListOf(std::string_view event, std::string_view elements) {
  std::string list = absl::StrCat("[", QuoteJson(event), elements.empty() ? "" : ",");
  list.append(elements).append("]");
  return list;
}

}  // namespace

void SocketIo::Start() {
  owner_->deadlines().Set(this, absl::ToChronoNanoseconds(owner_->options().connect_timeout));
}

void SocketIo::Stop() { owner_->deadlines().Clear(this); }

void SocketIo::OnDeadline() {
  if (ever_connected_) return;
  ++owner_->stats().timed_out;
  session_->Close(kClosePolicy, "no namespace");
}

bool SocketIo::IsConnected(std::string_view nsp) const {
  return std::find(connected_.begin(), connected_.end(), nsp) != connected_.end();
}

void SocketIo::TakeText(std::string text) {
  SocketIoPacket packet;
  std::string why;
  if (partial_.attachments > 0) return session_->Violation("an attachment is missing");
  if (!ReadSocketIoPacket(text, &packet, &why)) return session_->Violation(why);
  if (packet.attachments > 0) {
    partial_ = std::move(packet);
    partial_bytes_ = text.size();
    // Nobody has it until its last frame is here: counted as pending, it would keep that from
    // being read. What it may hold is bounded by the payload's limit.
    return session_->EventDone(text.size());
  }
  Handle(std::move(packet), text.size());
}

void SocketIo::TakeBinary(std::string data) {
  if (partial_.attachments == 0) return session_->Violation("an attachment of nothing");
  const size_t bytes = data.size();
  partial_bytes_ += bytes;
  if (partial_bytes_ > owner_->options().max_payload_bytes) {
    return session_->Violation("the attachments are too large");
  }
  attachments_.push_back(std::move(data));
  if (attachments_.size() < partial_.attachments) return session_->EventDone(bytes);
  // The last frame stands for the whole packet.
  session_->Hold(partial_bytes_ - bytes);
  SocketIoPacket packet = std::move(partial_);
  partial_ = SocketIoPacket();
  Handle(std::move(packet), std::exchange(partial_bytes_, 0));
}

void SocketIo::Handle(SocketIoPacket packet, size_t bytes) {
  if (packet.type == SocketIoType::kConnect) {
    Connect(packet);
    return session_->EventDone(bytes);
  }
  if (!IsConnected(packet.nsp)) return session_->Violation("not connected to that namespace");
  switch (packet.type) {
    case SocketIoType::kDisconnect:
      Disconnect(packet.nsp);
      return session_->EventDone(bytes);
    case SocketIoType::kEvent:
    case SocketIoType::kBinaryEvent:
      return Event(std::move(packet), bytes);
    case SocketIoType::kAck:
    case SocketIoType::kBinaryAck:
      attachments_.clear();
      owner_->OnSessionAck(session_, packet.nsp, *packet.id, std::move(packet.data));
      return session_->EventDone(bytes);
    default:
      return session_->Violation("not a packet that a client sends");
  }
}

void SocketIo::Connect(const SocketIoPacket& packet) {
  const std::vector<std::string>& known = owner_->options().namespaces;
  const bool refused =
      IsConnected(packet.nsp) || std::find(known.begin(), known.end(), packet.nsp) == known.end();
  SocketIoPacket answer;
  answer.nsp = packet.nsp;
  answer.type = refused ? SocketIoType::kConnectError : SocketIoType::kConnect;
  answer.data = refused ? "{\"message\":\"Invalid namespace\"}"
                        : absl::StrCat("{\"sid\":\"", NewSessionId(), "\"}");
  if (!refused) {
    ever_connected_ = true;
    owner_->deadlines().Clear(this);
    connected_.push_back(packet.nsp);
  }
  Write(std::move(answer), {});
  // A peer that does not read is gone with the answer to it.
  if (refused || !session_->open()) return;
  const std::string auth = packet.data.empty() ? "{}" : packet.data;
  owner_->OnSessionConnect(session_, packet.nsp, auth);
}

void SocketIo::Disconnect(const std::string& nsp) {
  connected_.erase(std::find(connected_.begin(), connected_.end(), nsp));
  // Nothing can be said any more; coming and going would cost the host a call each time.
  if (connected_.empty()) session_->Close(kCloseNormal, "no namespace");
}

void SocketIo::Event(SocketIoPacket packet, size_t bytes) {
  SessionEvent event;
  const std::vector<std::string_view> elements = ArrayElements(packet.data);
  if (!ReadJsonString(elements.front(), &event.name)) {
    return session_->Violation("the name of the event is no text");
  }
  event.nsp = std::move(packet.nsp);
  event.arguments.assign(elements.begin() + 1, elements.end());
  event.attachments = std::exchange(attachments_, {});
  event.wants_ack = packet.id.has_value();
  event.ack_id = packet.id.value_or(0);
  event.bytes = bytes;
  ++owner_->stats().events;
  owner_->OnSessionEvent(session_, std::move(event));
}

void SocketIo::Emit(const std::string& nsp, std::string_view event, std::string_view elements,
                    const std::vector<std::string>& attachments) {
  SocketIoPacket packet;
  packet.type = SocketIoType::kEvent;
  packet.nsp = nsp;
  packet.data = ListOf(event, elements);
  Write(std::move(packet), attachments);
}

void SocketIo::EmitWithAck(const std::string& nsp, std::string_view event,
                           std::string_view elements, uint64_t id) {
  SocketIoPacket packet;
  packet.type = SocketIoType::kEvent;
  packet.nsp = nsp;
  packet.id = id;
  packet.data = ListOf(event, elements);
  Write(std::move(packet), {});
}

void SocketIo::Ack(const std::string& nsp, uint64_t id, std::string_view elements,
                   const std::vector<std::string>& attachments) {
  SocketIoPacket packet;
  packet.type = SocketIoType::kAck;
  packet.nsp = nsp;
  packet.id = id;
  packet.data.assign("[").append(elements).append("]");
  Write(std::move(packet), attachments);
}

void SocketIo::Write(SocketIoPacket packet, const std::vector<std::string>& attachments) {
  const bool about_connecting = packet.type == SocketIoType::kConnectError;
  if (!about_connecting && !IsConnected(packet.nsp)) return;
  if (!attachments.empty()) {
    packet.type =
        packet.type == SocketIoType::kAck ? SocketIoType::kBinaryAck : SocketIoType::kBinaryEvent;
    packet.attachments = attachments.size();
  }
  session_->SendMessage(false, WriteSocketIoPacket(packet));
  for (const std::string& attachment : attachments) session_->SendMessage(true, attachment);
}

}  // namespace viaduct::websocket
