/* Every task posts two more. */
#include "bad_plugin.h"

struct user {
  vd_instance* self;
  const vd_host_post_1* post;
};
static struct user only;
static void task(void* user) {
  struct user* mine = user;
  for (int i = 0; i < 2; ++i) mine->post->post(mine->self->host, 0, task, mine);
}
static int32_t start(vd_instance* self, uint32_t lanes, vd_error* error) {
  (void)lanes, (void)error;
  only.self = self;
  only.post = self->host->query(self->host, text(VD_HOST_POST_1));
  return only.post->post(self->host, 0, task, &only);
}
BAD_LIFECYCLE("posts_forever", .start = start)
