#include "report.h"

#include <algorithm>
#include <iomanip>
#include <string_view>

namespace viaduct::check {
namespace {

std::string Escape(std::string_view text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      default:
        out += static_cast<unsigned char>(c) < 0x20 ? ' ' : c;
    }
  }
  return out;
}

size_t Count(const std::vector<Result>& results, Verdict verdict) {
  return static_cast<size_t>(
      std::count_if(results.begin(), results.end(),
                    [verdict](const Result& result) { return result.outcome.verdict == verdict; }));
}

double Seconds(std::chrono::milliseconds time) { return static_cast<double>(time.count()) / 1000; }

}  // namespace

void WriteLine(const Result& result, std::ostream& out) {
  const char* word = result.outcome.verdict == Verdict::kPassed    ? "ok   "
                     : result.outcome.verdict == Verdict::kSkipped ? "skip "
                                                                   : "FAIL ";
  const std::string name = std::string(LevelName(result.test.level)) + "." + result.test.name;
  out << word << std::left << std::setw(44) << name << std::right << std::setw(6)
      << result.outcome.took.count() << " ms";
  if (!result.outcome.text.empty()) out << "  " << result.outcome.text;
  out << '\n';
  if (result.outcome.verdict == Verdict::kFailed) out << "     rule: " << result.test.rule << '\n';
  out.flush();
}

void WriteSummary(const std::vector<Result>& results, std::ostream& out) {
  out << Count(results, Verdict::kPassed) << " passed, " << Count(results, Verdict::kFailed)
      << " failed, " << Count(results, Verdict::kSkipped) << " skipped\n";
}

void WriteJunit(const std::string& plugin, const std::vector<Result>& results, std::ostream& out) {
  std::chrono::milliseconds all{0};
  for (const Result& result : results) all += result.outcome.took;
  out << "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
      << "<testsuite name=\"viaduct-check " << Escape(plugin) << "\" tests=\"" << results.size()
      << "\" failures=\"" << Count(results, Verdict::kFailed) << "\" skipped=\""
      << Count(results, Verdict::kSkipped) << "\" time=\"" << Seconds(all) << "\">\n";
  for (const Result& result : results) {
    out << "  <testcase classname=\"" << Escape(plugin) << '.' << LevelName(result.test.level)
        << "\" name=\"" << result.test.name << "\" time=\"" << Seconds(result.outcome.took) << '"';
    const std::string text = Escape(result.outcome.text);
    if (result.outcome.verdict == Verdict::kFailed) {
      out << ">\n    <failure message=\"" << text << "\">" << Escape(result.test.rule)
          << "</failure>\n  </testcase>\n";
    } else if (result.outcome.verdict == Verdict::kSkipped) {
      out << ">\n    <skipped message=\"" << text << "\"/>\n  </testcase>\n";
    } else {
      out << "/>\n";
    }
  }
  out << "</testsuite>\n";
}

}  // namespace viaduct::check
