// NOT ROS: the messages and services that the node uses, with the fields of their definitions.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace builtin_interfaces::msg {
struct Time {
    std::int32_t sec = 0;
    std::uint32_t nanosec = 0;
};
}  // namespace builtin_interfaces::msg

namespace std_msgs::msg {
struct Header {
    builtin_interfaces::msg::Time stamp;
    std::string frame_id;
};
}  // namespace std_msgs::msg

namespace sensor_msgs::msg {
struct Image {
    using ConstSharedPtr = std::shared_ptr<const Image>;
    std_msgs::msg::Header header;
    std::uint32_t height = 0, width = 0;
    std::string encoding;
    std::uint8_t is_bigendian = 0;
    std::uint32_t step = 0;
    std::vector<std::uint8_t> data;
};
}  // namespace sensor_msgs::msg

namespace geometry_msgs::msg {
struct Point {
    using ConstSharedPtr = std::shared_ptr<const Point>;
    double x = 0, y = 0, z = 0;
};
}  // namespace geometry_msgs::msg

namespace vision_msgs::msg {
struct Point2D {
    double x = 0, y = 0;
};
struct Pose2D {
    Point2D position;
    double theta = 0;
};
struct BoundingBox2D {
    Pose2D center;
    double size_x = 0, size_y = 0;
};
struct ObjectHypothesis {
    std::string class_id;
    double score = 0;
};
struct ObjectHypothesisWithPose {
    ObjectHypothesis hypothesis;
};
struct Detection2D {
    std_msgs::msg::Header header;
    std::vector<ObjectHypothesisWithPose> results;
    BoundingBox2D bbox;
    std::string id;
};
struct Detection2DArray {
    using ConstSharedPtr = std::shared_ptr<const Detection2DArray>;
    std_msgs::msg::Header header;
    std::vector<Detection2D> detections;
};
}  // namespace vision_msgs::msg

namespace sam2_ros_msgs::srv {
struct Reply {
    std::vector<std::string> object_ids;
    std::vector<std::int32_t> object_indices;
    bool success = false;
    std::string message;
};
struct AddObjects {
    struct Request {
        std_msgs::msg::Header request_header;
        std::vector<std::string> bbox_object_ids;
        std::vector<vision_msgs::msg::BoundingBox2D> bbox_coords;
        std::vector<std::string> point_object_ids;
        std::vector<vision_msgs::msg::Point2D> point_coords;
        std::vector<std::int32_t> point_labels;
    };
    using Response = Reply;
};
struct RemoveObject {
    struct Request {
        std_msgs::msg::Header request_header;
        std::string object_id;
    };
    using Response = Reply;
};
}  // namespace sam2_ros_msgs::srv
