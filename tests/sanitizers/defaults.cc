// Options and suppressions of the sanitizers, compiled into every executable of a sanitizer build:
// they hold however the program is started. One line of reason a suppression.

#define VD_SANITIZER_HOOK extern "C" __attribute__((visibility("default"), used))

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define __SANITIZE_ADDRESS__ 1
#endif
#endif

#if defined(__SANITIZE_ADDRESS__)

VD_SANITIZER_HOOK const char* __asan_default_options();
const char* __asan_default_options() {
  // Plugins crash on purpose, and the host says with which signal; tests/faults/clock.py preloads
  // its clock before everything else.
  return "detect_stack_use_after_return=1:strict_string_checks=1:detect_invalid_pointer_pairs=0:"
         "verify_asan_link_order=0:"
         "check_initialization_order=1:abort_on_error=1:handle_segv=0:handle_abort=0:"
         "handle_sigill=0:handle_sigbus=0:handle_sigfpe=0";
}

VD_SANITIZER_HOOK const char* __ubsan_default_options();
const char* __ubsan_default_options() { return "print_stacktrace=1"; }

VD_SANITIZER_HOOK const char* __lsan_default_suppressions();
const char* __lsan_default_suppressions() { return ""; }

#endif

#if defined(__SANITIZE_THREAD__)

VD_SANITIZER_HOOK const char* __tsan_default_options();
const char* __tsan_default_options() {
  // Plugins crash on purpose, and the host says with which signal.
  return "second_deadlock_stack=1:history_size=4:detect_deadlocks=1:handle_segv=0:handle_abort=0:"
         "handle_sigill=0:handle_sigbus=0:handle_sigfpe=0";
}

VD_SANITIZER_HOOK const char* __tsan_default_suppressions();
const char* __tsan_default_suppressions() {
  // Debian's gRPC, OpenSSL and cpp-httplib are not instrumented: what they order among their own
  // threads with atomics is not seen; nor are the references of a shared absl::Status, whose last
  // holder also ends its payloads.
  return "race:libgrpc.so\n"
         "race:libgrpc++.so\n"
         "race:libgpr.so\n"
         "race:libupb.so\n"
         "race:absl::*::Status::Unref\n"
         "race:absl::*::status_internal::Payload*\n"
         // Static objects of its functions, made by whichever thread comes first.
         "race:libcpp-httplib.so\n"
         "race:libcrypto.so\n"
         "race:libssl.so\n"
         "mutex:libgrpc.so\n"
         // A format of OpenCV's imgcodecs, with which tests write pictures: two locks of its own,
         // taken either way round by one and the same thread.
         "deadlock:libgdal.so\n"
         // gRPC's timer thread of a program that ends.
         "thread:libgpr.so\n";
}

#endif
