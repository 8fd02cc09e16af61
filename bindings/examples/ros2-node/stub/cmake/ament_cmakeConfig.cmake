# NOT ROS: what the node's CMakeLists.txt takes of it, where ROS is not installed.
macro(ament_package)
endmacro()
