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

void SocketIo::Stop() {
  owner_->deadlines().Clear(this);
  std::string().swap(partial_);
  std::vector<std::string>().swap(attachments_);
  expected_ = partial_bytes_ = 0;
}

void SocketIo::OnDeadline() {
  if (ever_connected_) return;
  ++owner_->stats().timed_out;
  session_->Close(kClosePolicy, "no namespace");
}

bool SocketIo::IsConnected(std::string_view nsp) const {
  return std::find(connected_.begin(), connected_.end(), nsp) != connected_.end();
}

void SocketIo::TakeText(std::string_view text) {
  SocketIoPacket packet;
  std::string why;
  if (expected_ > 0) return session_->Violation("an attachment is missing");
  if (!ReadSocketIoPacket(text, &packet, &why)) return session_->Violation(why);
  if (packet.attachments == 0) return Handle(packet, text.size());
  partial_.assign(text);
  expected_ = packet.attachments;
  partial_bytes_ = text.size();
  // Nobody has it until its last frame is here: counted as pending, it would keep that from being
  // read. What it holds is bounded by the payload's limit, and by the budget of all.
  session_->EventDone(text.size());
  session_->Settle();
}

void SocketIo::TakeBinary(std::string data) {
  if (expected_ == 0) return session_->Violation("an attachment of nothing");
  const size_t bytes = data.size();
  partial_bytes_ += bytes;
  if (partial_bytes_ > owner_->options().max_payload_bytes) {
    return session_->Violation("the attachments are too large");
  }
  attachments_.push_back(std::move(data));
  if (attachments_.size() == expected_) return TakeWhole();
  session_->EventDone(bytes);
  session_->Settle();
}

void SocketIo::TakeWhole() {
  // The last frame stands for the whole packet.
  session_->Hold(partial_bytes_ - attachments_.back().size());
  const std::string text = std::exchange(partial_, {});
  const size_t bytes = std::exchange(partial_bytes_, 0);
  expected_ = 0;
  session_->Settle();
  SocketIoPacket packet;
  std::string why;
  if (!ReadSocketIoPacket(text, &packet, &why)) return session_->Violation(why);
  Handle(packet, bytes);
}

void SocketIo::Handle(const SocketIoPacket& packet, size_t bytes) {
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
      return Event(packet, bytes);
    case SocketIoType::kAck:
    case SocketIoType::kBinaryAck:
      attachments_.clear();
      owner_->OnSessionAck(session_, *packet.id,
                           packet.elements.empty() ? "" : packet.elements.front());
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
  if (!refused) {
    ever_connected_ = true;
    owner_->deadlines().Clear(this);
    connected_.emplace_back(packet.nsp);
  }
  Write(answer,
        refused ? "{\"message\":\"Invalid namespace\"}"
                : absl::StrCat("{\"sid\":\"", NewSessionId(), "\"}"),
        {});
  // A peer that does not read is gone with the answer to it.
  if (refused || !session_->open()) return;
  owner_->OnSessionConnect(session_, packet.nsp, packet.data.empty() ? "{}" : packet.data);
}

void SocketIo::Disconnect(std::string_view nsp) {
  connected_.erase(std::find(connected_.begin(), connected_.end(), nsp));
  // Nothing can be said any more; coming and going would cost the host a call each time.
  if (connected_.empty()) session_->Close(kCloseNormal, "no namespace");
}

void SocketIo::Event(const SocketIoPacket& packet, size_t bytes) {
  SessionEvent event;
  if (!ReadJsonString(packet.elements.front(), &event.name)) {
    return session_->Violation("the name of the event is no text");
  }
  event.nsp = packet.nsp;
  if (packet.elements.size() > 1) {
    const char* const begin = packet.elements[1].data();
    const std::string_view last = packet.elements.back();
    event.first = packet.elements[1];
    event.arguments = {begin, static_cast<size_t>(last.data() + last.size() - begin)};
  }
  event.attachments = std::exchange(attachments_, {});
  event.wants_ack = packet.id.has_value();
  event.ack_id = packet.id.value_or(0);
  event.bytes = bytes;
  ++owner_->stats().events;
  owner_->OnSessionEvent(session_, event);
}

void SocketIo::Emit(std::string_view nsp, std::string_view event, std::string_view elements,
                    const std::vector<std::string>& attachments) {
  SocketIoPacket packet;
  packet.nsp = nsp;
  Write(packet, ListOf(event, elements), attachments);
}

void SocketIo::EmitWithAck(std::string_view nsp, std::string_view event, std::string_view elements,
                           uint64_t id) {
  SocketIoPacket packet;
  packet.nsp = nsp;
  packet.id = id;
  Write(packet, ListOf(event, elements), {});
}

void SocketIo::Ack(std::string_view nsp, uint64_t id, std::string_view elements,
                   const std::vector<std::string>& attachments) {
  SocketIoPacket packet;
  packet.type = SocketIoType::kAck;
  packet.nsp = nsp;
  packet.id = id;
  Write(packet, std::string("[").append(elements).append("]"), attachments);
}

void SocketIo::Write(SocketIoPacket packet, std::string_view data,
                     const std::vector<std::string>& attachments) {
  const bool about_connecting = packet.type == SocketIoType::kConnectError;
  if (!about_connecting && !IsConnected(packet.nsp)) return;
  if (!attachments.empty()) {
    packet.type =
        packet.type == SocketIoType::kAck ? SocketIoType::kBinaryAck : SocketIoType::kBinaryEvent;
    packet.attachments = attachments.size();
  }
  std::string text(1, static_cast<char>(EngineType::kMessage));
  text.append(SocketIoHead(packet)).append(data);
  session_->SendPacket(text);
  for (const std::string& attachment : attachments) session_->SendMessage(true, attachment);
}

}  // namespace viaduct::websocket
