# NOT ROS: a program that loads the library of a component, as the program that ROS generates does.
set(stub_main "${CMAKE_CURRENT_LIST_DIR}/main.cpp")
function(rclcpp_components_register_node target)
  cmake_parse_arguments(ARGS "" "PLUGIN;EXECUTABLE" "" ${ARGN})
  add_executable(${ARGS_EXECUTABLE} ${stub_main})
  target_compile_features(${ARGS_EXECUTABLE} PRIVATE cxx_std_17)
  target_link_libraries(${ARGS_EXECUTABLE} PRIVATE rclcpp::rclcpp ${CMAKE_DL_LIBS})
  install(TARGETS ${ARGS_EXECUTABLE} DESTINATION lib/${PROJECT_NAME})
endfunction()
