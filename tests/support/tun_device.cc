#include "tests/support/tun_device.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <string>

#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"

namespace viaduct::support {
namespace {

constexpr char kTunPath[] = "/dev/net/tun";
constexpr char kNamesFolder[] = "/run/netns/";  // Of `ip netns`.
// Packets that the kernel keeps for a moment in which this process does not run; what is more, it
// drops without a count of ours.
constexpr int kDeviceQueuePackets = 4096;

absl::Status Failed(const std::string& what) {
  const std::string text = absl::StrCat(what, ", ", std::strerror(errno));
  if (errno == ENOENT) return absl::NotFoundError(text);
  if (errno == EPERM || errno == EACCES) return absl::PermissionDeniedError(text);
  return absl::UnavailableError(text);
}

void SetAddress(in_addr_t network_order, sockaddr* out) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = network_order;
  std::memcpy(out, &address, sizeof address);
}

ifreq Request(const LinkEnd& end) {
  ifreq request{};
  end.device.copy(request.ifr_name, IFNAMSIZ - 1);
  return request;
}

absl::Status Configure(const LinkEnd& end) {
  const Descriptor control(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  const auto ask = [&](unsigned long kind, ifreq request, const char* what) {  // NOLINT: ioctl's.
    if (ioctl(control.get(), kind, &request) == 0) return absl::OkStatus();
    return Failed(absl::StrCat("device ", end.device, ": ", what));
  };
  ifreq request = Request(end);
  in_addr address{};
  inet_pton(AF_INET, end.address.c_str(), &address);
  SetAddress(address.s_addr, &request.ifr_addr);
  VD_RETURN_IF_ERROR(ask(SIOCSIFADDR, request, "address"));
  SetAddress(htonl(~uint32_t{0} << (32 - end.prefix_bits)), &request.ifr_netmask);
  VD_RETURN_IF_ERROR(ask(SIOCSIFNETMASK, request, "netmask"));
  request.ifr_mtu = kPacketBytes;
  VD_RETURN_IF_ERROR(ask(SIOCSIFMTU, request, "MTU"));
  request.ifr_qlen = kDeviceQueuePackets;
  // A user namespace may not, and lives with the 500 packets that are the default.
  (void)ask(SIOCSIFTXQLEN, request, "queue");
  request.ifr_flags = IFF_UP | IFF_RUNNING | IFF_POINTOPOINT | IFF_NOARP;
  return ask(SIOCSIFFLAGS, request, "up");
}

absl::StatusOr<std::unique_ptr<Descriptor>> MakeHere(const LinkEnd& end) {
  auto tun = std::make_unique<Descriptor>(open(kTunPath, O_RDWR | O_NONBLOCK | O_CLOEXEC));
  if (tun->get() < 0) return Failed(kTunPath);
  ifreq request = Request(end);
  request.ifr_flags = IFF_TUN | IFF_NO_PI;
  if (ioctl(tun->get(), TUNSETIFF, &request) != 0) {
    return Failed(absl::StrCat("device ", end.device));
  }
  VD_RETURN_IF_ERROR(Configure(end));
  return tun;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Descriptor>> OpenTun(const LinkEnd& end) {
  std::string path = end.network_namespace;
  if (path.find('/') == std::string::npos) path.insert(0, kNamesFolder);
  const Descriptor home(open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC));
  const Descriptor there(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (there.get() < 0 || setns(there.get(), CLONE_NEWNET) != 0) {
    return Failed(absl::StrCat("namespace ", end.network_namespace));
  }
  absl::StatusOr<std::unique_ptr<Descriptor>> tun = MakeHere(end);
  if (setns(home.get(), CLONE_NEWNET) != 0) return Failed("namespace: no way back");
  return tun;
}

}  // namespace viaduct::support
