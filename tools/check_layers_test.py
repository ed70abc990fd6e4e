#!/usr/bin/env python3
"""Every arrow that check_layers.py forbids is found in a small tree; what is allowed is not."""
import pathlib
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from check_layers import Checker  # noqa: E402


class CheckLayersTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = pathlib.Path(folder.name)
        for name in ("core/base/clock.h", "host/server.h", "plugins/rest/client.h",
                     "plugins/mqtt/client.h", "plugins/common/limits.h", "tests/support/judge.h",
                     "sdk/include/viaduct/abi/base.h", "sdk/include/viaduct/cpp/plugin.h"):
            self.write(name, "")

    def write(self, name, text):
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def findings(self):
        return Checker(self.root).run()

    def assert_found(self, name, text, expected):
        self.write(name, text)
        findings = self.findings()
        self.assertEqual(len(findings), 1, findings)
        self.assertIn(expected, findings[0])
        self.assertTrue(findings[0].startswith(name + ":"), findings[0])

    def assert_clean(self, name, text):
        self.write(name, text)
        self.assertEqual(self.findings(), [])

    def test_core_must_not_include_grpc(self):
        self.assert_found("core/spool/a.cc", "#include <grpcpp/grpcpp.h>\n", "gRPC and protobuf")

    def test_core_must_not_include_generated_code(self):
        self.assert_found("core/spool/a.cc", '#include "viaduct/control/v1/node.pb.h"\n', "gRPC")

    def test_core_must_not_include_protobuf(self):
        self.assert_found("core/spool/a.h", "#include <google/protobuf/struct.pb.h>\n", "gRPC")

    def test_core_must_not_include_host(self):
        self.assert_found("core/spool/a.cc", '\n#include "host/server.h"\n', "core must not include")

    def test_core_must_not_include_a_plugin(self):
        self.assert_found("core/spool/a.cc", '#include "plugins/rest/client.h"\n', "core must not")

    def test_core_must_not_include_test_support(self):
        self.assert_found("core/spool/a.cc", '#include "tests/support/judge.h"\n', "tests/")

    def test_core_test_may_include_test_support(self):
        self.assert_clean("core/spool/a_test.cc", '#include "tests/support/judge.h"\n')

    def test_core_may_include_core_and_sdk(self):
        self.assert_clean("core/spool/a.cc",
                          '#include "core/base/clock.h"\n#include <viaduct/abi/base.h>\n')

    def test_rooms_of_core_must_not_form_a_cycle(self):
        self.write("core/a/a.h", '#include "core/b/b.h"\n')
        self.write("core/b/b.h", '#include "core/a/a.h"\n')
        self.assertIn("cycle", "\n".join(self.findings()))

    def test_host_may_include_grpc_and_core(self):
        self.assert_clean("host/a.cc",
                          '#include <grpcpp/grpcpp.h>\n#include "core/base/clock.h"\n')

    def test_host_must_not_include_a_plugin(self):
        self.assert_found("host/a.cc", '#include "plugins/rest/client.h"\n', "host must not")

    def test_plugin_must_not_include_core(self):
        self.assert_found("plugins/mqtt/a.cc", '#include "core/base/clock.h"\n', "SDK headers")

    def test_plugin_must_not_include_another_plugin(self):
        self.assert_found("plugins/mqtt/a.cc", '#include "plugins/rest/client.h"\n', "another")

    def test_plugin_must_not_include_another_plugin_by_a_relative_path(self):
        self.write("plugins/rest/deep.h", "")
        self.assert_found("plugins/mqtt/a.cc", '#include "plugins/rest/deep.h"\n', "another")

    def test_plugin_must_not_include_protobuf(self):
        self.assert_found("plugins/mqtt/a.cc", "#include <google/protobuf/any.pb.h>\n", "gRPC")

    def test_plugin_may_include_sdk_common_itself_and_system(self):
        self.assert_clean("plugins/mqtt/a.cc",
                          '#include <viaduct/cpp/plugin.h>\n#include "plugins/common/limits.h"\n'
                          '#include "client.h"\n#include "plugins/mqtt/client.h"\n'
                          "#include <httplib.h>\n#include <sys/socket.h>\n")

    def test_abi_header_must_not_include_more_than_the_two_standard_ones(self):
        self.assert_found("sdk/include/viaduct/abi/a.h", "#include <stdbool.h>\n", "ABI header")

    def test_sdk_wrapper_must_not_include_abseil(self):
        self.assert_found("sdk/include/viaduct/cpp/a.h", "#include <absl/status/status.h>\n",
                          "standard library")

    def test_sdk_wrapper_may_include_standard_library_and_abi(self):
        self.assert_clean("sdk/include/viaduct/cpp/a.h",
                          "#include <string>\n#include <viaduct/abi/base.h>\n")

    def test_sdk_must_not_include_core(self):
        self.assert_found("sdk/check/main.cc", '#include "core/base/clock.h"\n', "SDK must not")

    def test_core_must_not_name_a_plugin(self):
        self.assert_found("core/gateway/a.cc", 'if (plugin == "mqtt") {}\n', "never name a plugin")

    def test_host_must_not_name_a_plugin(self):
        self.assert_found("host/a.cc", 'Load("websocket");\n', "never name a plugin")

    def test_plugin_name_in_a_comment_or_a_test_is_no_finding(self):
        self.write("core/gateway/a_test.cc", 'Expect("mqtt");\n')
        self.assert_clean("core/gateway/a.cc", '// as "mqtt" does\nLog("mqtt broker");\n')

    def test_core_target_must_not_link_grpc(self):
        self.assert_found("core/spool/CMakeLists.txt",
                          "viaduct_library(core_spool SOURCES a.cc\n  DEPS gRPC::grpc++)\n", "gRPC")

    def test_plugin_target_must_not_link_core(self):
        self.assert_found("plugins/rest/CMakeLists.txt",
                          "viaduct_library(plugin_rest SOURCES a.cc DEPS viaduct::core_base)\n",
                          "a plugin links")

    def test_plugin_module_must_not_link_core(self):
        self.assert_found("plugins/rest/CMakeLists.txt",
                          "viaduct_add_plugin(rest SOURCES a.cc LIBS viaduct::core_base)\n",
                          "a plugin links")

    def test_core_target_must_not_link_host(self):
        self.assert_found("core/spool/CMakeLists.txt",
                          "target_link_libraries(viaduct_core_spool PUBLIC viaduct::host_rpc)\n",
                          "core must not link")

    def test_allowed_exception_is_silent(self):
        self.write("tools/layers_allow.txt", 'core/a/a.cc "mqtt"  # a field of the envelope\n')
        self.assert_clean("core/a/a.cc", 'x = "mqtt";\n')

    def test_exception_without_reason_is_found(self):
        self.write("core/a/a.cc", "")
        self.assert_found("tools/layers_allow.txt", 'core/a/a.cc "mqtt"\n', "reason")

    def test_exception_that_is_not_needed_is_found(self):
        self.write("core/a/a.cc", "")
        self.assert_found("tools/layers_allow.txt", 'core/a/a.cc "mqtt"  # old\n', "not needed")


if __name__ == "__main__":
    unittest.main()
