// NOT ROS: a stand-in for the names that node.cpp uses, so that a test can compile and run the node without ROS. Topics
// are a table, and messages are delivered at once. Never install this.
#pragma once

#include <cstdint>
#include <cstdio>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#define RCLCPP_WARN(logger, ...) (std::fprintf(stderr, __VA_ARGS__), std::fputc('\n', stderr), (void)(logger))

namespace std_msgs::msg {
struct Header {
    struct {
        std::int32_t sec = 0;
        std::uint32_t nanosec = 0;
    } stamp;
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
struct RegionOfInterest {
    using ConstSharedPtr = std::shared_ptr<const RegionOfInterest>;
    std::uint32_t x_offset = 0, y_offset = 0, height = 0, width = 0;
    bool do_rectify = false;
};
}  // namespace sensor_msgs::msg

namespace geometry_msgs::msg {
struct Point {
    using ConstSharedPtr = std::shared_ptr<const Point>;
    double x = 0, y = 0, z = 0;
};
}  // namespace geometry_msgs::msg

namespace rclcpp {

// Quality of service: a reliable subscription does not match a publisher with best effort.
struct QoS {
    QoS(std::size_t depth) : depth(depth) {}
    QoS& keep_last(std::size_t n) { return depth = n, *this; }
    std::size_t depth;
    bool reliable = true;
};
struct SensorDataQoS : QoS {
    SensorDataQoS() : QoS(5) { reliable = false; }
};

template <class M> struct Subscriber {
    std::function<void(std::shared_ptr<const M>)> call;
    QoS qos = 1;
};

template <class M> std::multimap<std::string, Subscriber<M>>& topics() {
    static std::multimap<std::string, Subscriber<M>> all;
    return all;
}

template <class M> struct Publisher {
    using SharedPtr = std::shared_ptr<Publisher>;
    std::string topic;
    QoS qos = 1;
    void publish(const M& message) {
        auto [first, last] = topics<M>().equal_range(topic);
        for (auto it = first; it != last; ++it)
            if (qos.reliable || !it->second.qos.reliable) it->second.call(std::make_shared<const M>(message));
    }
};

template <class M> struct Subscription {
    using SharedPtr = std::shared_ptr<Subscription>;
};

class Node {
  public:
    explicit Node(const std::string&) {}
    int get_logger() const { return 0; }
    template <class M> typename Publisher<M>::SharedPtr create_publisher(const std::string& topic, QoS qos) {
        return std::make_shared<Publisher<M>>(Publisher<M>{topic, qos});
    }
    template <class M, class F>
    typename Subscription<M>::SharedPtr create_subscription(const std::string& topic, QoS qos, F f) {
        topics<M>().emplace(topic, Subscriber<M>{f, qos});
        return std::make_shared<Subscription<M>>();
    }
};

inline void init(int, char**) {}
inline void shutdown() {}
inline std::vector<std::string> remove_ros_arguments(int argc, char** argv) {
    return {argv, argv + argc};
}
// Called while the node spins. The test defines it.
void spin(std::shared_ptr<Node> node);

}  // namespace rclcpp
