// The listener's descriptors: how many it may use, whose they are, and the one that wakes it.
#pragma once

#include <string>

namespace viaduct {

// So many connections may be open: they must not take the descriptors that the rest of the process
// needs to answer them.
int DescriptorsToSpare();

// "192.0.2.7:51234" of a connected socket; "unknown" for any other.
std::string PeerName(int fd);

// Wakes a thread that waits for it with epoll, edge-triggered. Thread-safe.
class EventFd {
 public:
  EventFd();
  EventFd(const EventFd&) = delete;
  EventFd& operator=(const EventFd&) = delete;
  ~EventFd();

  int fd() const { return fd_; }  // -1: there was no descriptor left, errno says why.
  void Signal() const;

 private:
  const int fd_;
};

}  // namespace viaduct
