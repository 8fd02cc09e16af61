// drive FRAMES: publishes images of a folder to the node, calls its services, and prints what it answers and publishes. It
// needs ROS, and a node that runs.
#include <geometry_msgs/msg/point.hpp>
#include <rclcpp/rclcpp.hpp>
#include <sam2.hpp>
#include <sam2_ros_msgs/srv/add_objects.hpp>
#include <sam2_ros_msgs/srv/remove_object.hpp>
#include <sensor_msgs/msg/image.hpp>
#include <vision_msgs/msg/detection2_d_array.hpp>

#include "steps.hpp"

#include <chrono>

using namespace std::chrono_literals;

struct Driver : steps::world {
    explicit Driver(rclcpp::Node::SharedPtr n) : node(std::move(n)) {
        images = node->create_publisher<steps::Image>("image", rclcpp::SensorDataQoS());
        clicks = node->create_publisher<steps::Point>("click", 1);
        add = node->create_client<steps::AddObjects>("sam2/add_objects");
        removal = node->create_client<steps::RemoveObject>("sam2/remove_object");
        labels = node->create_subscription<steps::Image>(
            "labels", 1, [this](steps::Image::ConstSharedPtr m) { last_labels = m; });
        detections = node->create_subscription<steps::Detection2DArray>(
            "detections", 1, [this](steps::Detection2DArray::ConstSharedPtr m) { last_detections = m; });
    }
    bool connected() const {
        return images->get_subscription_count() && clicks->get_subscription_count() && labels->get_publisher_count() &&
               detections->get_publisher_count() && add->service_is_ready() && removal->service_is_ready();
    }
    // Handles messages until a condition holds or the time is over.
    template <class F> bool spin(F until, std::chrono::milliseconds time) {
        auto end = std::chrono::steady_clock::now() + time;
        while (rclcpp::ok() && std::chrono::steady_clock::now() < end) {
            if (until()) return true;
            rclcpp::spin_some(node);
            rclcpp::sleep_for(5ms);
        }
        return until();
    }
    void wait(bool published) override {
        spin([&] { return published && last_labels && last_detections; }, published ? 20s : 500ms);
    }
    void image(const steps::Image& m) override { images->publish(m); }
    void click(const steps::Point& m) override { clicks->publish(m); }
    template <class Client, class Request> auto call(Client& client, const Request& request) {
        auto future = client->async_send_request(std::make_shared<Request>(request)).future.share();
        spin([&] { return future.wait_for(0s) == std::future_status::ready; }, 20s);
        return *future.get();
    }
    steps::AddObjects::Response add_objects(const steps::AddObjects::Request& r) override { return call(add, r); }
    steps::RemoveObject::Response remove_object(const steps::RemoveObject::Request& r) override { return call(removal, r); }

    rclcpp::Node::SharedPtr node;
    rclcpp::Publisher<steps::Image>::SharedPtr images;
    rclcpp::Publisher<steps::Point>::SharedPtr clicks;
    rclcpp::Client<steps::AddObjects>::SharedPtr add;
    rclcpp::Client<steps::RemoveObject>::SharedPtr removal;
    rclcpp::Subscription<steps::Image>::SharedPtr labels;
    rclcpp::Subscription<steps::Detection2DArray>::SharedPtr detections;
};

int main(int argc, char** argv) {
    rclcpp::init(argc, argv);
    auto args = rclcpp::remove_ros_arguments(argc, argv);
    if (args.size() != 2) return 2;
    Driver driver(std::make_shared<rclcpp::Node>("drive"));
    if (!driver.spin([&] { return driver.connected(); }, 20s)) return std::fprintf(stderr, "no node\n"), 1;
    steps::run(driver, args[1]);
    rclcpp::shutdown();
}
