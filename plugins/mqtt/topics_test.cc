#include "plugins/mqtt/topics.h"

#include <gtest/gtest.h>

namespace viaduct::mqtt {
namespace {

TEST(Topics, KnowsCommandsAndTheirAnswers) {
  for (const char* topic : {"system/control/CAM1", "lprserver/cameras/CAM1/control"}) {
    EXPECT_TRUE(IsCommandTopic(topic)) << topic;
    EXPECT_FALSE(IsResponseTopic(topic)) << topic;
  }
  for (const char* topic :
       {"system/control/CAM1/response", "lprserver/cameras/CAM1/control/response"}) {
    EXPECT_TRUE(IsResponseTopic(topic)) << topic;
    EXPECT_FALSE(IsCommandTopic(topic)) << topic;
  }
  for (const char* topic : {"", "system/control/", "lpr/data/edge/response", "camera/x/control",
                            "lprserver/cameras//control", "lprserver/cameras/a/b/control"}) {
    EXPECT_FALSE(IsCommandTopic(topic)) << topic;
    EXPECT_FALSE(IsResponseTopic(topic)) << topic;
  }
}

TEST(Topics, OrdersToCamerasHaveQos2) {
  EXPECT_EQ(QosOf("lprserver/cameras/CAM1/control"), 2);
  EXPECT_EQ(QosOf("lprserver/cameras/CAM1/control/response"), 2);
  EXPECT_EQ(QosOf("lprserver/cameras/+/control/response"), 2);
  EXPECT_EQ(QosOf("lprserver/cameras/control/detection"), 1);
  EXPECT_EQ(QosOf("system/control/CAM1"), 1);
  EXPECT_EQ(QosOf("lpr/data/edge/CAM1"), 1);
}

}  // namespace
}  // namespace viaduct::mqtt
