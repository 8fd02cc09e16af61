# NOT ROS: the headers of this folder, for all packages.
if(NOT TARGET rclcpp::rclcpp)
  foreach(target rclcpp::rclcpp rclcpp_components::component rclcpp_lifecycle::rclcpp_lifecycle)
    add_library(${target} INTERFACE IMPORTED)
    set_target_properties(${target} PROPERTIES INTERFACE_INCLUDE_DIRECTORIES "${CMAKE_CURRENT_LIST_DIR}/..")
  endforeach()
endif()
