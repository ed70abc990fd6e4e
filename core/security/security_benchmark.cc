// What a request costs for being checked: security_benchmark [--benchmark_filter=...]
#include <benchmark/benchmark.h>

#include <string>

#include "absl/strings/str_cat.h"
#include "core/base/test_folder.h"
#include "core/security/api_key_store.h"
#include "core/security/audit_log.h"
#include "core/security/authenticator.h"
#include "core/security/jwt_test_support.h"
#include "core/security/payload_cipher.h"
#include "core/security/permissions.h"
#include "core/security/rate_limiter.h"

namespace viaduct::security {
namespace {

constexpr char kSecret[] = "0123456789abcdef0123456789abcdef";

void BM_ApiKey(benchmark::State& state) {
  TestFolder folder;
  SystemClock clock;
  auto store = std::move(*ApiKeyStore::Open(folder.path(), &clock));
  ApiKeyRecord camera;
  camera.owner = "CAM001";
  const std::string key = store->Create(camera)->text;
  std::string why;
  for (auto _ : state) benchmark::DoNotOptimize(store->Check(key, &why).ok());
}
BENCHMARK(BM_ApiKey);

std::string ClaimsNow(absl::Time now) {
  const int64_t second = absl::ToUnixSeconds(now);
  return absl::StrCat(R"({"iss":"site","aud":"viaduct","sub":"CAM001","role":"device","iat":)",
                      second, R"(,"exp":)", second + 3600, "}");
}

// 0: HS256, 1: RS256, 2: ES256; the second number is 1 where the token was seen before.
void BM_Token(benchmark::State& state) {
  SystemClock clock;
  const TestKey rsa = MakeRsa(2048);
  const TestKey ec = MakeEc("P-256");
  const std::string claims = ClaimsNow(clock.Now());
  const std::string tokens[] = {TokenHs(R"({"alg":"HS256","kid":"0"})", claims, kSecret),
                                TokenRs(R"({"alg":"RS256","kid":"1"})", claims, rsa),
                                TokenEs(R"({"alg":"ES256","kid":"2"})", claims, ec)};
  JwtOptions options;
  options.issuer = "site";
  options.audience = "viaduct";
  options.keys = {{"0", JwtAlgorithm::kHs256, kSecret},
                  {"1", JwtAlgorithm::kRs256, PublicPem(rsa)},
                  {"2", JwtAlgorithm::kEs256, PublicPem(ec)}};
  auto verifier = std::move(*JwtVerifier::Create(options, &clock));
  std::string why;
  for (auto _ : state) {
    if (state.range(1) == 0) {
      state.PauseTiming();
      verifier = std::move(*JwtVerifier::Create(options, &clock));
      state.ResumeTiming();
    }
    if (!verifier->Check(tokens[state.range(0)], &why).ok()) state.SkipWithError(why.c_str());
  }
}
BENCHMARK(BM_Token)->ArgsProduct({{0, 1, 2}, {0, 1}});

void BM_Password(benchmark::State& state) {
  TestFolder folder;
  SystemClock clock;
  auto store = std::move(*UserStore::Open(folder.path(), &clock));
  std::string why;
  for (auto _ : state) benchmark::DoNotOptimize(store->Check("nobody", "password", &why).ok());
}
BENCHMARK(BM_Password);

void BM_Permission(benchmark::State& state) {
  Principal camera;
  camera.kind = PrincipalKind::kDevice;
  camera.role = Role::kDevice;
  camera.id = "CAM001";
  const absl::Time now = absl::UnixEpoch();
  for (auto _ : state) {
    benchmark::DoNotOptimize(
        CheckAllowed(&camera, Surface::kHttp, "POST /api/lpr/data", "CAM001", now).ok());
  }
}
BENCHMARK(BM_Permission);

void BM_RateLimit(benchmark::State& state) {
  SystemClock clock;
  RateLimits limits;
  limits.device = limits.credential = limits.address = {1e9, 1e9};
  RateLimiter limiter(limits, &clock);
  absl::Duration wait;
  int64_t i = 0;
  for (auto _ : state) {
    const std::string device = absl::StrCat("CAM", ++i % state.range(0));
    benchmark::DoNotOptimize(limiter.Admit({device, device, "192.0.2.7:51234"}, 1, &wait).ok());
  }
}
BENCHMARK(BM_RateLimit)->Arg(10)->Arg(50'000);

void BM_SealAndOpen(benchmark::State& state) {
  PayloadCipher cipher(
      std::move(*KeyRing::Parse("k1 YWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWE=\n")));
  Envelope envelope;
  envelope.message_id = "7d7ad0a2-43a5-4f2c-8f5e-0a9c4e1d9b11";
  envelope.edge_device_id = "CAM001";
  envelope.payload_json =
      absl::StrCat("{\"a\":\"", std::string(static_cast<size_t>(state.range(0)), 'x'), "\"}");
  for (auto _ : state) {
    Envelope sealed = envelope;
    if (!cipher.SealEnvelope(&sealed).ok() || !cipher.OpenEnvelope(&sealed).ok()) {
      state.SkipWithError("does not come back");
    }
  }
  state.SetBytesProcessed(state.iterations() * state.range(0));
}
BENCHMARK(BM_SealAndOpen)->Arg(1'000)->Arg(300'000);

void BM_AuditDurably(benchmark::State& state) {
  TestFolder folder;
  SystemClock clock;
  auto log = std::move(*AuditLog::Open(folder.path(), AuditFileOptions(), &clock));
  for (auto _ : state) {
    benchmark::DoNotOptimize(
        log->AppendDurably({"user anna", "login", "", "192.0.2.7:1", "ok"}).ok());
  }
}
BENCHMARK(BM_AuditDurably)->UseRealTime();

}  // namespace
}  // namespace viaduct::security

BENCHMARK_MAIN();
