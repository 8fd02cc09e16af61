// Connects messages with the library, without ROS: a message is any type with the fields of sensor_msgs/Image.
#pragma once

#include <sam2.hpp>

#include <optional>
#include <string>

namespace sam2_ros {

// Describes the image of a message without a copy. The results contain its stamp.
template <class Image> sam2::result<sam2_image> to_image(const Image& message) {
    struct encoding {
        const char* name;
        std::int32_t format;
        std::uint32_t bytes;  // of a pixel
    };
    static const encoding all[] = {
        {"rgb8", SAM2_FORMAT_RGB8, 3},   {"bgr8", SAM2_FORMAT_BGR8, 3},   {"rgba8", SAM2_FORMAT_RGBA8, 4},
        {"bgra8", SAM2_FORMAT_BGRA8, 4}, {"mono8", SAM2_FORMAT_GRAY8, 1}, {"8UC1", SAM2_FORMAT_GRAY8, 1},
        {"8UC3", SAM2_FORMAT_BGR8, 3},   {"uyvy", SAM2_FORMAT_UYVY, 2},   {"yuv422", SAM2_FORMAT_UYVY, 2},
        {"yuyv", SAM2_FORMAT_YUYV, 2},   {"yuv422_yuy2", SAM2_FORMAT_YUYV, 2}, {"nv12", SAM2_FORMAT_NV12, 1},
    };
    using result = sam2::result<sam2_image>;
    for (const encoding& e : all) {
        if (message.encoding != e.name) continue;
        std::uint64_t wide = std::uint64_t(message.width) + (e.bytes == 2 && message.width % 2);
        std::uint64_t rows = message.height;
        if (e.format == SAM2_FORMAT_NV12) rows += (rows + 1) / 2, wide += wide % 2;
        if (message.step < wide * e.bytes || message.data.size() / (message.step ? message.step : 1) < rows)
            return sam2::error{SAM2_ERROR_INVALID_ARGUMENT, "a message with less data than its size says"};
        sam2_image image = SAM2_IMAGE_INIT;
        image.format = e.format, image.width = message.width, image.height = message.height;
        image.planes[0] = message.data.data(), image.strides[0] = message.step;
        if (e.format == SAM2_FORMAT_NV12) {
            image.planes[1] = message.data.data() + std::size_t(message.height) * message.step;
            image.strides[1] = message.step;
        }
        // Formats of cameras.
        image.matrix = SAM2_MATRIX_BT601, image.range = SAM2_RANGE_FULL;
        image.timestamp = std::int64_t(message.header.stamp.sec) * 1000000000 + message.header.stamp.nanosec;
        return result(image);
    }
    return sam2::error{SAM2_ERROR_INVALID_ARGUMENT, "an unknown encoding of an image"};
}

// Results of an image: a mask of its size, 255 on the object, and the box around the object.
struct found {
    std::vector<std::uint8_t> mask;
    std::array<std::int32_t, 4> box;
    float score;
};

// Tracks one object, selected by a click, through images of equal size.
class tracker {
  public:
    explicit tracker(sam2::model model) : model_(std::move(model)) {}

    // Selects the object at this pixel of the next image.
    void click(float x, float y) {
        next_.emplace();
        next_->points = {{x, y}};
    }

    // Tracks the object to the next image. Returns nothing if the object is not visible or not selected.
    sam2::result<std::optional<found>> push(const sam2_image& image) {
        using result = sam2::result<std::optional<found>>;
        if (!next_ && !stream_) return result(std::nullopt);
        std::vector<std::uint8_t> mask(std::size_t(image.width) * image.height);
        sam2_mask_buffer buffer = SAM2_MASK_BUFFER_INIT;
        buffer.data = mask.data(), buffer.size = mask.size();
        sam2::frame_masks seen;
        if (next_) {
            // A new stream, because the size of images may have changed.
            auto fresh = sam2::video_predictor::create_stream(model_);
            if (!fresh) return fresh.error();
            auto first = fresh->push_frame(image);
            if (!first) return first.error();
            auto said = fresh->add_new_points_or_box(0, 1, *next_, 0, &buffer);
            if (!said) return said.error();
            stream_.emplace(std::move(*fresh)), next_.reset(), seen = std::move(*said);
        } else {
            auto next = stream_->push_frame(image, &buffer);
            if (!next) return next.error();
            seen = std::move(*next);
        }
        if (seen.lost[0]) return result(std::nullopt);
        for (std::uint8_t& v : mask) v = v ? 255 : 0;
        return result(found{std::move(mask), seen.boxes[0], seen.object_score_logits[0]});
    }

  private:
    sam2::model model_;
    std::optional<sam2::video_predictor> stream_;
    std::optional<sam2::prompt> next_;
};

}  // namespace sam2_ros
