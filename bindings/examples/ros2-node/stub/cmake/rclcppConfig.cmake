# NOT ROS: the headers of this folder, and a program that ends at once.
if(NOT TARGET rclcpp::rclcpp)
  add_library(rclcpp::rclcpp INTERFACE IMPORTED)
  set_target_properties(rclcpp::rclcpp PROPERTIES
    INTERFACE_INCLUDE_DIRECTORIES "${CMAKE_CURRENT_LIST_DIR}/.."
    INTERFACE_SOURCES "${CMAKE_CURRENT_LIST_DIR}/spin.cpp")
endif()
