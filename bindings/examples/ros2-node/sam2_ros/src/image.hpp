// Describes messages as images, without ROS: a message is any type with the fields of sensor_msgs/Image.
#pragma once

#include <sam2.hpp>

#include <string>

namespace sam2_ros {

// Converts a time to nanoseconds.
template <class Time> std::int64_t nanoseconds(const Time& t) {
    return std::int64_t(t.sec) * 1000000000 + t.nanosec;
}

// Describes the image of a message without a copy. Its timestamp is the stamp of the message. `encoding` replaces the one of
// the message unless it is empty.
template <class Image> sam2::result<sam2_image> to_image(const Image& message, const std::string& encoding = "") {
    struct known {
        const char* name;
        std::int32_t format;
        std::uint32_t bytes;  // of a pixel
    };
    static const known all[] = {
        {"rgb8", SAM2_FORMAT_RGB8, 3},   {"bgr8", SAM2_FORMAT_BGR8, 3},   {"rgba8", SAM2_FORMAT_RGBA8, 4},
        {"bgra8", SAM2_FORMAT_BGRA8, 4}, {"mono8", SAM2_FORMAT_GRAY8, 1}, {"8UC1", SAM2_FORMAT_GRAY8, 1},
        {"8UC3", SAM2_FORMAT_BGR8, 3},   {"uyvy", SAM2_FORMAT_UYVY, 2},   {"yuv422", SAM2_FORMAT_UYVY, 2},
        {"yuyv", SAM2_FORMAT_YUYV, 2},   {"yuv422_yuy2", SAM2_FORMAT_YUYV, 2}, {"nv12", SAM2_FORMAT_NV12, 1},
    };
    const std::string& wanted = encoding.empty() ? message.encoding : encoding;
    for (const known& e : all) {
        if (wanted != e.name) continue;
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
        image.timestamp = nanoseconds(message.header.stamp);
        return sam2::result<sam2_image>(image);
    }
    return sam2::error{SAM2_ERROR_INVALID_ARGUMENT, "unknown encoding of an image: " + wanted};
}

}  // namespace sam2_ros
