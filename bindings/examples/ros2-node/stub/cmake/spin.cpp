// NOT ROS: a node that spins says so, and ends.
#include <rclcpp/rclcpp.hpp>

void rclcpp::spin(std::shared_ptr<rclcpp::Node>) { std::puts("spins"); }
