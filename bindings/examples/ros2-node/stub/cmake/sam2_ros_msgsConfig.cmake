# NOT ROS: its headers come with those of rclcpp.
