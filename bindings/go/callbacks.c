#include "_cgo_export.h"

int32_t sam2_go_frame(void *user, const sam2_frame *frame) { return sam2GoFrame(user, (sam2_frame *)frame); }

int32_t sam2_go_load(void *user, float fraction) { return sam2GoLoad(user, fraction); }

int32_t sam2_go_write(void *user, const uint8_t *data, size_t size) { return sam2GoWrite(user, (uint8_t *)data, size); }

int32_t sam2_go_mask(void *user, const sam2_automatic_mask *mask) { return sam2GoMask(user, (sam2_automatic_mask *)mask); }

int32_t sam2_go_progress(void *user, uint64_t points_done, uint64_t num_points, uint64_t num_masks) {
	return sam2GoProgress(user, points_done, num_points, num_masks);
}
