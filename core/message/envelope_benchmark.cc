// What parsing and writing one envelope of about 600 bytes costs; nlohmann::json for comparison.
#include <benchmark/benchmark.h>

#include <nlohmann/json.hpp>

#include "core/message/envelope.h"
#include "core/message/envelope_batch.h"

namespace viaduct {
namespace {

const std::string& Sample() {
  static const std::string text =
      R"({"message_id":"018d0b5e-7c1a-7000-8000-0123456789ab","timestamp":"2024-01-15T10:30:00.000Z",)"
      R"("protocol":"rest","edge_device_id":"CAM001","data_type":"detection","payload":{)"
      R"("type":"detection_result","camera_id":"CAM001","checkpoint_id":"CP001",)"
      R"("timestamp":"2024-01-15T10:30:00.000Z","vehicles_count":1,"plates_count":1,)"
      R"("ocr_results":[{"text":"กข 1234","confidence":0.953,"bbox":[100,200,300,260]}],)"
      R"("vehicle_detections":[{"bbox":[10,20,400,500],"score":0.91,"label":"car"}],)"
      R"("plate_detections":[{"bbox":[100,200,300,260],"score":0.88,"label":"plate"}],)"
      R"("processing_time_ms":41.7},"metadata":{"protocol_version":"1.0","compression":false,)"
      R"("encryption":true,"priority":"normal"}})";
  return text;
}

void BM_ParseEnvelope(benchmark::State& state) {
  const ParseOptions options;
  for ([[maybe_unused]] auto _ : state) benchmark::DoNotOptimize(ParseEnvelope(Sample(), options));
}
BENCHMARK(BM_ParseEnvelope);

void BM_ParseArrayOf128(benchmark::State& state) {
  const ParseOptions options;
  std::string text = "[" + Sample();
  for (int i = 1; i < 128; ++i) text += "," + Sample();
  text += "]";
  for ([[maybe_unused]] auto _ : state) benchmark::DoNotOptimize(ParseEnvelopes(text, options));
  state.SetItemsProcessed(state.iterations() * 128);
}
BENCHMARK(BM_ParseArrayOf128);

void BM_ValidateEnvelope(benchmark::State& state) {
  const ParseOptions options;
  const Envelope envelope = *ParseEnvelope(Sample(), options);
  for ([[maybe_unused]] auto _ : state)
    benchmark::DoNotOptimize(ValidateEnvelope(envelope, options));
}
BENCHMARK(BM_ValidateEnvelope);

void BM_WriteEnvelope(benchmark::State& state) {
  const Envelope envelope = *ParseEnvelope(Sample(), {});
  for ([[maybe_unused]] auto _ : state) benchmark::DoNotOptimize(WriteEnvelope(envelope));
}
BENCHMARK(BM_WriteEnvelope);

void BM_NlohmannParse(benchmark::State& state) {
  for ([[maybe_unused]] auto _ : state) benchmark::DoNotOptimize(nlohmann::json::parse(Sample()));
}
BENCHMARK(BM_NlohmannParse);

}  // namespace
}  // namespace viaduct

BENCHMARK_MAIN();
