// A node that subscribes to images on `image` and clicks in pixels on `click`, and publishes a mask on `mask` and its
// box on `region`.
#include "sam2_ros.hpp"

#include <geometry_msgs/msg/point.hpp>
#include <rclcpp/rclcpp.hpp>
#include <sensor_msgs/msg/image.hpp>
#include <sensor_msgs/msg/region_of_interest.hpp>

using geometry_msgs::msg::Point;
using sensor_msgs::msg::Image;
using sensor_msgs::msg::RegionOfInterest;

class Sam2Node : public rclcpp::Node {
  public:
    explicit Sam2Node(sam2::model model) : Node("sam2"), tracker_(std::move(model)) {
        mask_ = create_publisher<Image>("mask", 1);
        region_ = create_publisher<RegionOfInterest>("region", 1);
        // The QoS of cameras, which reliable publishers match too. At most one image waits. Images that arrive during
        // tracking are dropped.
        auto qos = rclcpp::SensorDataQoS().keep_last(1);
        image_ = create_subscription<Image>("image", qos, [this](Image::ConstSharedPtr m) { on_image(*m); });
        click_ = create_subscription<Point>("click", 1, [this](Point::ConstSharedPtr m) {
            tracker_.click(static_cast<float>(m->x), static_cast<float>(m->y));
        });
    }

  private:
    void on_image(const Image& message) {
        auto image = sam2_ros::to_image(message);
        if (!image) return warn(image.error());
        auto found = tracker_.push(*image);
        if (!found) return warn(found.error());
        if (!*found) return;
        Image mask;
        mask.header = message.header;
        mask.width = message.width, mask.height = message.height, mask.step = message.width;
        mask.encoding = "mono8", mask.data = std::move((*found)->mask);
        mask_->publish(mask);
        auto [left, top, right, bottom] = (*found)->box;
        RegionOfInterest region;
        region.x_offset = static_cast<std::uint32_t>(left), region.y_offset = static_cast<std::uint32_t>(top);
        region.width = static_cast<std::uint32_t>(right - left + 1);
        region.height = static_cast<std::uint32_t>(bottom - top + 1);
        region_->publish(region);
    }

    void warn(const sam2::error& e) { RCLCPP_WARN(get_logger(), "%s", e.message.c_str()); }

    sam2_ros::tracker tracker_;
    rclcpp::Publisher<Image>::SharedPtr mask_;
    rclcpp::Publisher<RegionOfInterest>::SharedPtr region_;
    rclcpp::Subscription<Image>::SharedPtr image_;
    rclcpp::Subscription<Point>::SharedPtr click_;
};

int main(int argc, char** argv) {
    rclcpp::init(argc, argv);
    auto args = rclcpp::remove_ros_arguments(argc, argv);
    if (args.size() != 2) {
        std::fprintf(stderr, "sam2_node MODEL\n");
        return 2;
    }
    auto model = sam2::model::load(args[1]);
    if (!model) {
        std::fprintf(stderr, "%s\n", model.error().message.c_str());
        return 1;
    }
    rclcpp::spin(std::make_shared<Sam2Node>(std::move(*model)));
    rclcpp::shutdown();
}
