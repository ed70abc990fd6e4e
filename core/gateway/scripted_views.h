// Links and messages for tests of selectors.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/gateway/selector.h"

namespace viaduct {

inline constexpr int64_t kSecond = 1'000'000'000;

// Those that a test adds, each with a model of its own.
class Links {
 public:
  LinkView& Add(const std::string& name) {
    names_.push_back(std::make_unique<std::string>(name));
    models_.push_back(std::make_unique<LinkModel>());
    LinkView view;
    view.name = *names_.back();
    view.plugin = *names_.back();
    view.ready = true;
    view.room = 100;
    view.model = models_.back().get();
    views.push_back(view);
    return views.back();
  }
  LinkView& operator[](std::string_view name) {
    for (LinkView& view : views) {
      if (view.name == name) return view;
    }
    ADD_FAILURE() << "no link " << name;
    return views.front();
  }
  // As if it had confirmed many messages in this time: `base` and so much for each 100 KB.
  void Teach(std::string_view name, double base, double for_100_kb) {
    for (size_t i = 0; i < views.size(); ++i) {
      if (views[i].name != name) continue;
      for (int n = 0; n < 400; ++n) {
        const uint64_t bytes = n % 2 == 0 ? 0 : 100'000;
        models_[i]->OnConfirmed(bytes, base + (bytes == 0 ? 0 : for_100_kb));
      }
      views[i].measured_ns = kSecond;
    }
  }
  LinkModel* model(size_t index) { return models_[index].get(); }

  std::vector<LinkView> views;

 private:
  std::vector<std::unique_ptr<std::string>> names_;
  std::vector<std::unique_ptr<LinkModel>> models_;
};

inline SelectorMessage Message(size_t bytes, Priority priority = Priority::kNormal) {
  SelectorMessage message;
  message.bytes = bytes;
  message.priority = priority;
  message.now_ns = 10 * kSecond;
  return message;
}

inline std::string Picked(Selector* selector, const SelectorMessage& message, const Links& links) {
  const Explanation explained = selector->Explain(message, links.views);
  const int pick = selector->Pick(message, links.views).link;
  const std::string name =
      pick == Choice::kNone ? "" : std::string(links.views[static_cast<size_t>(pick)].name);
  EXPECT_EQ(explained.link, name) << explained.why;
  return name;
}

}  // namespace viaduct
